"""FlowMM's velocity in physical units: the network between two standardisations."""

from __future__ import annotations

import math

import torch
from torch import nn

from flowllm.manifolds import OpenCrystalState, cell_map
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.networks.flowmm import FlowMMNet
from flowllm.networks.flowmm_settings import FlowMMConfig

BITS_VELOCITY_STD = math.sqrt(2.0)
"""Of +1 or -1 less a standard normal number, about zero."""


class OpenCrystalVelocity(nn.Module):
    """v(t, c) on coordinates (per unit time, fractional), flat cell and analog bits.

    Args:
        config: size of the network.
        statistics: what standardises its inputs and outputs.
    """

    cell_mean: torch.Tensor
    cell_std: torch.Tensor
    cell_velocity_mean: torch.Tensor
    cell_velocity_std: torch.Tensor
    coord_velocity_std: torch.Tensor

    def __init__(self, config: FlowMMConfig, statistics: FlowStatistics) -> None:
        super().__init__()
        self.net = FlowMMNet(config)
        self.statistics = statistics
        self.cell_map = cell_map(config.cell_map)
        for name, value in statistics.to_dict().items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)

    def standardised(
        self, species: torch.Tensor, state: OpenCrystalState, t: torch.Tensor, mask: torch.Tensor
    ) -> OpenCrystalState:
        """The network's own output: velocities of unit variance.

        Args:
            species: (B, S) int64 atomic numbers; those that are given. Not used where species move.
            state: coordinates (B, S, 3), flat cells (B, 6), and bits (B, S, 7 or 0).
            t: (B,).
            mask: (B, S) bool.
        """
        cell = (state.cell - self.cell_mean) / self.cell_std
        metric = self.cell_map.metric(state.cell)
        given = state.bits if self.net.config.draws_species else species
        return OpenCrystalState(*self.net(given, state.coords, cell, metric, t, mask))

    def forward(
        self, species: torch.Tensor, state: OpenCrystalState, t: torch.Tensor, mask: torch.Tensor
    ) -> OpenCrystalState:
        """The velocity in fractional units, flat cells and bits; arguments as above."""
        v = self.standardised(species, state, t, mask)
        return OpenCrystalState(
            v.coords * self.coord_velocity_std,
            v.cell * self.cell_velocity_std + self.cell_velocity_mean,
            v.bits * BITS_VELOCITY_STD,
        )

    def standardise_target(self, target: OpenCrystalState) -> OpenCrystalState:
        """Convert a velocity from physical to standardised units."""
        return OpenCrystalState(
            target.coords / self.coord_velocity_std,
            (target.cell - self.cell_velocity_mean) / self.cell_velocity_std,
            target.bits / BITS_VELOCITY_STD,
        )
