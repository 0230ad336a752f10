"""The velocity in physical units: the network between two standardisations."""

from __future__ import annotations

import torch
from torch import nn

from flowllm.manifolds import CrystalState, cell_map
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.networks.cspnet import VelocityNet
from flowllm.networks.settings import VelocityConfig


class CrystalVelocity(nn.Module):
    """v(t, c) on coordinates (per unit time, fractional) and flat cell (per unit time).

    Args:
        config: size of the network.
        statistics: what standardises its inputs and outputs.
    """

    cell_mean: torch.Tensor
    cell_std: torch.Tensor
    cell_velocity_mean: torch.Tensor
    cell_velocity_std: torch.Tensor
    coord_velocity_std: torch.Tensor

    def __init__(self, config: VelocityConfig, statistics: FlowStatistics) -> None:
        super().__init__()
        self.net = VelocityNet(config)
        self.statistics = statistics
        self.cell_map = cell_map(config.cell_map)
        for name, value in statistics.to_dict().items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)

    def standardised(
        self, types: torch.Tensor, state: CrystalState, t: torch.Tensor, mask: torch.Tensor
    ) -> CrystalState:
        """The network's own output: velocities of unit variance.

        Args:
            types: (B, S) int64.
            state: coordinates (B, S, 3) and flat cells (B, 6).
            t: (B,).
            mask: (B, S) bool.
        """
        cell = (state.cell - self.cell_mean) / self.cell_std
        metric = self.cell_map.metric(state.cell)
        return CrystalState(*self.net(types, state.coords, cell, metric, t, mask))

    def forward(
        self, types: torch.Tensor, state: CrystalState, t: torch.Tensor, mask: torch.Tensor
    ) -> CrystalState:
        """The velocity in fractional units and in units of the flat cell; arguments as above."""
        v = self.standardised(types, state, t, mask)
        return CrystalState(
            v.coords * self.coord_velocity_std,
            v.cell * self.cell_velocity_std + self.cell_velocity_mean,
        )

    def standardise_target(self, target: CrystalState) -> CrystalState:
        """Convert a velocity from physical to standardised units."""
        return CrystalState(
            target.coords / self.coord_velocity_std,
            (target.cell - self.cell_velocity_mean) / self.cell_velocity_std,
        )
