"""FlowMM's training loss (arXiv 2406.04713, section 3.3)."""

from __future__ import annotations

import torch
from torch import nn

from flowllm.manifolds import OpenCrystalState
from flowllm.manifolds.analog_bits import to_bits
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flowmm.path import OpenGeodesicPath
from flowllm.methods.flowmm.settings import FlowMMTrainSettings
from flowllm.methods.flowmm.velocity import BITS_VELOCITY_STD, OpenCrystalVelocity
from flowllm.networks.flowmm_settings import FlowMMConfig


class FlowMMMatcher(nn.Module):
    """The network of one task together with its loss.

    loss = w_f / 3n |v_f - u_f|^2 + w_l / 6 |v_l - u_l|^2 + w_a / 7n |v_a - u_a|^2, a mean over
    crystals,

    with u_f in fractional units, u_l standardised, and u_a in units of the bits, whose targets are
    +1 and -1; w are the weights of the settings (400, 1, 40 in FlowMM) divided by their sum. Where
    species are given the last term is left out.

    The first term has a floor: each atom goes its own short way, and no network that is blind to a
    common translation can see which way around the cell that was before t = 1/2. For two unlike
    atoms whose places are known the mean square that is left is 0.33 of the target's; atoms of one
    element, of which any may take any place, add to it.

    Args:
        config: size of the network.
        statistics: what standardises inputs and outputs.
        settings: the weights.
    """

    def __init__(
        self, config: FlowMMConfig, statistics: FlowStatistics, settings: FlowMMTrainSettings
    ) -> None:
        super().__init__()
        self.velocity = OpenCrystalVelocity(config, statistics)
        species_weight = settings.species_weight if config.draws_species else 0.0
        total = settings.coord_weight + settings.cell_weight + species_weight
        self.coord_weight = settings.coord_weight / total * statistics.coord_velocity_std**2
        self.cell_weight = settings.cell_weight / total
        self.species_weight = species_weight / total * BITS_VELOCITY_STD**2

    def forward(
        self,
        species: torch.Tensor,
        frac_coords0: torch.Tensor,
        frac_coords1: torch.Tensor,
        cell0: torch.Tensor,
        cell1: torch.Tensor,
        bits0: torch.Tensor,
        mask: torch.Tensor,
        t: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Losses of a batch at the times t.

        Args:
            species: (B, S) int64 atomic numbers of the crystals.
            frac_coords0, frac_coords1: (B, S, 3) in the base and in the crystals.
            cell0, cell1: (B, 6) flat cells, likewise.
            bits0: (B, S, 7) analog bits of the base; (B, S, 0) where species are given.
            mask: (B, S) bool.
            t: (B,).

        Returns:
            `loss`; `coord_loss`, `cell_loss` and, where species move, `species_loss`: squared
            errors relative to the targets' variance (1 for a network that predicts no motion).
        """
        bits1 = to_bits(species) if bits0.shape[-1] else bits0
        start = OpenCrystalState(frac_coords0, cell0, bits0)
        path = OpenGeodesicPath(start, OpenCrystalState(frac_coords1, cell1, bits1), mask)
        target = self.velocity.standardise_target(path.velocity())
        found = self.velocity.standardised(species, path.at(t), t, mask)
        count = mask.sum(1).clamp(min=1)
        # Padding is zero in both, so that it adds nothing.
        coord_loss = ((found.coords - target.coords).square().sum((1, 2)) / (3 * count)).mean()
        cell_loss = (found.cell - target.cell).square().mean()
        loss = self.coord_weight * coord_loss + self.cell_weight * cell_loss
        parts = {"coord_loss": coord_loss.detach(), "cell_loss": cell_loss.detach()}
        width = bits0.shape[-1]
        if width:
            wrong = (found.bits - target.bits).square().sum((1, 2))
            species_loss = (wrong / (width * count)).mean()
            loss = loss + self.species_weight * species_loss
            parts["species_loss"] = species_loss.detach()
        return {"loss": loss, **parts}
