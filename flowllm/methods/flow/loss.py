"""The flow matching loss (FlowLLM, equation 4)."""

from __future__ import annotations

import torch
from torch import nn

from flowllm.manifolds import CrystalState
from flowllm.methods.flow.path import GeodesicPath
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flow.velocity import CrystalVelocity
from flowllm.networks.settings import VelocityConfig


class FlowMatcher(nn.Module):
    """The velocity network together with its training loss.

    loss = coord_weight / 3n |v_F - u_F|^2 + cell_weight / 6 |v_L - u_L|^2, a mean over crystals,

    with u_F in fractional units, so that coord_weight is the paper's lambda_f, and u_L
    standardised, as the paper's cell is. The network predicts both standardised: its coordinate
    error counts with coord_weight times the variance of u_F. On pairs aligned as here, that is
    200 x 0.026 = 5; in list order it is 200 x 0.083 = 17.

    Args:
        config: size of the network.
        statistics: what standardises inputs and outputs.
        coord_weight: lambda_f.
        cell_weight: lambda_l.
    """

    def __init__(
        self,
        config: VelocityConfig,
        statistics: FlowStatistics,
        coord_weight: float,
        cell_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.velocity = CrystalVelocity(config, statistics)
        self.coord_weight, self.cell_weight = coord_weight, cell_weight

    def forward(
        self,
        types: torch.Tensor,
        frac_coords0: torch.Tensor,
        frac_coords1: torch.Tensor,
        cell0: torch.Tensor,
        cell1: torch.Tensor,
        mask: torch.Tensor,
        t: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Losses of a batch of pairs at the times t.

        Args:
            types: (B, S) int64.
            frac_coords0, frac_coords1: (B, S, 3) both ends of the path.
            cell0, cell1: (B, 6) flat cells at both ends.
            mask: (B, S) bool.
            t: (B,); drawn uniformly from [0, 1] if left out.

        Returns:
            `loss`; `coord_loss`, the squared error of coordinates relative to the targets'
            variance (1 for a network that predicts no motion); `cell_loss`, the same of the cell.
        """
        if t is None:
            t = torch.rand(len(types), device=cell0.device, dtype=cell0.dtype)
        start, end = CrystalState(frac_coords0, cell0), CrystalState(frac_coords1, cell1)
        path = GeodesicPath(start, end, mask)
        target = self.velocity.standardise_target(path.velocity())
        predicted = self.velocity.standardised(types, path.at(t), t, mask)
        count = mask.sum(1).clamp(min=1)
        # Padding is zero in both, so that it adds nothing.
        coord_loss = ((predicted.coords - target.coords).square().sum((1, 2)) / (3 * count)).mean()
        cell_loss = (predicted.cell - target.cell).square().mean()
        coord_scale = self.coord_weight * self.velocity.coord_velocity_std.square()
        return {
            "loss": coord_scale * coord_loss + self.cell_weight * cell_loss,
            "coord_loss": coord_loss.detach(),
            "cell_loss": cell_loss.detach(),
        }
