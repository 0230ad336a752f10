"""FlowMM's velocity network, dense and padded (arXiv 2406.04713, section 3.4 and appendix A).

CSPNet of DiffCSP with the changes of FlowMM:

- an edge is described by sinusoids of the logarithmic map d_ij = log_fi(fj), f_j - f_i wrapped to
  [-1/2, 1/2). Their periods divide 1, so that they are those of f_j - f_i itself, and smooth where
  d_ij jumps from 1/2 to -1/2;
- and by the cosines of the angles between the edge d_ij L and the three cell vectors, which do jump
  there;
- an atom has no edge to itself;
- the number of atoms is an input of every node, here by sinusoids, so that any number can be given;
- the velocity of the cell comes from the mean over the nodes and their sum side by side;
- time is embedded linearly.

Species that are given (CSP) come through an embedding; species that move (DNG) through a linear map
of their seven analog bits, and each node returns the velocity of its bits.

Layers are those of `flowllm.networks.cspnet`, with the mean over the other atoms and with time as
an input of each. By default the network is smaller than FlowMM's (hidden 512, six layers) and has
Gaussians of the distance to the nearest image beside the sinusoids and angles, which FlowMM's has
not. Self-conditioning, which is off in FlowMM's shipped settings, is left out.
`flowllm.networks.flowmm_pyg` is the same network in plain message passing.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from flowllm.manifolds.analog_bits import NUM_BITS, NUM_SPECIES
from flowllm.manifolds.crystal import mean_free
from flowllm.networks.cspnet import VelocityLayer
from flowllm.networks.features import (
    RadialBasis,
    cell_features,
    difference_features,
    image_distances,
)
from flowllm.networks.flowmm_settings import FlowMMConfig


def count_embedding(num_atoms: torch.Tensor, size: int) -> torch.Tensor:
    """Sinusoids (B, size) of numbers of atoms (B,), with periods from 4 to 400 atoms."""
    rates = (math.pi / 2) * torch.exp(
        torch.linspace(
            0.0, -math.log(100.0), size // 2, device=num_atoms.device, dtype=num_atoms.dtype
        )
    )
    phases = num_atoms[:, None] * rates
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def edge_angles(frac_coords: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
    """Cosines (B, S, S, 3) of the angles between edges and the cell vectors; 0 for no length.

    Args:
        frac_coords: (B, S, 3).
        metric: (B, 3, 3) metric tensors G in Å^2.

    Returns:
        (d_ij G)_k / (|d_ij| |a_k|), where d_ij is f_j - f_i wrapped to [-1/2, 1/2); the second axis
        is i, the third j.
    """
    difference = frac_coords[:, None] - frac_coords[:, :, None]
    difference = difference - torch.floor(difference + 0.5)
    products = torch.einsum("bijx,bxk->bijk", difference, metric)
    squared = (products * difference).sum(-1, keepdim=True).clamp(min=1e-8)
    lengths = metric.diagonal(dim1=-2, dim2=-1).clamp(min=1e-8)
    return products * squared.rsqrt() * lengths.rsqrt()[:, None, None]


class FlowMMNet(nn.Module):
    """Velocities of coordinates, cell and analog bits, in standardised units, at a noisy crystal.

    Invariant to a common translation, equivariant to permutation of atoms. The output layers start
    at zero.
    """

    def __init__(self, config: FlowMMConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        self.species_embed: nn.Module = (
            nn.Linear(NUM_BITS, width)
            if config.draws_species
            else nn.Embedding(NUM_SPECIES + 1, width)
        )
        self.time_embed = nn.Linear(1, config.time_dim)
        self.mix = nn.Linear(width + config.time_dim + config.count_dim, width)
        self.radial = RadialBasis(config.distance_features) if config.distance_features else None
        self.layers = nn.ModuleList(VelocityLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.coord_head = nn.Linear(width, 3, bias=False)
        self.cell_mix = nn.Linear(2 * width + config.cell_inputs, width)
        self.cell_head = nn.Linear(width, 6)
        self.bits_head = nn.Linear(width, NUM_BITS) if config.draws_species else None
        for head in (self.coord_head, self.cell_head, self.bits_head):
            for parameter in () if head is None else head.parameters():
                nn.init.zeros_(parameter)

    def edge_features(self, frac_coords: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
        """Features (B, S, S, F) of all pairs of atoms; the second axis is i, the third j."""
        parts = [
            difference_features(frac_coords, self.config.num_frequencies),
            edge_angles(frac_coords, metric),
        ]
        if self.radial is not None:
            parts.append(self.radial(image_distances(frac_coords, metric)))
        return torch.cat(parts, dim=-1)

    def forward(
        self,
        species: torch.Tensor,
        frac_coords: torch.Tensor,
        cell: torch.Tensor,
        metric: torch.Tensor,
        t: torch.Tensor,
        mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Velocities of coordinates (B, S, 3), mean-free, of cells (B, 6) and bits (B, S, 7 or 0).

        Args:
            species: (B, S) int64 atomic numbers, or (B, S, 7) analog bits where species move;
                anything valid on padding.
            frac_coords: (B, S, 3).
            cell: (B, 6) standardised flat cells.
            metric: (B, 3, 3) metric tensors in Å^2.
            t: (B,) times in [0, 1].
            mask: (B, S) bool, true where an atom is.
        """
        present = mask.to(frac_coords.dtype)
        count = present.sum(1)
        others = neighbour_shares(mask, frac_coords.dtype)
        time = self.time_embed(t[:, None])
        h = self.species_embed(species)
        of_crystal = torch.cat([time, count_embedding(count, self.config.count_dim)], -1)
        h = self.mix(torch.cat([h, of_crystal[:, None].expand(-1, h.shape[1], -1)], -1))
        edges = self.edge_features(frac_coords, metric)
        cell = torch.cat([cell, cell_features(metric, self.config.cell_frequencies)], -1)
        for layer in self.layers:
            h = layer(h, edges, cell, time, others)
        h = self.norm(h)
        v_coords = mean_free(self.coord_head(h), mask)
        total = (h * present[..., None]).sum(1)
        pooled = torch.cat([total / count.clamp(min=1.0)[:, None], total, cell], -1)
        v_cell = self.cell_head(functional.silu(self.cell_mix(pooled)))
        if self.bits_head is None:
            return v_coords, v_cell, h[..., :0]
        return v_coords, v_cell, self.bits_head(h) * present[..., None]


def neighbour_shares(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, S, S): one over the number of other atoms, for every other atom j of i; else 0.

    Args:
        mask: (B, S) bool, true where an atom is.
        dtype: of the result.
    """
    present = mask.to(dtype)
    pairs = present[:, :, None] * present[:, None]
    pairs = pairs * (1.0 - torch.eye(mask.shape[1], dtype=dtype, device=mask.device))
    return pairs / (present.sum(1) - 1.0).clamp(min=1.0)[:, None, None]
