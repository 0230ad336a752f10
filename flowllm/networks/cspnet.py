"""The velocity network: CSPNet on the complete graph, dense and padded (FlowLLM, section 3.2).

One layer computes, for all atoms i and j of a crystal,

    m_i = mean_j phi(g_i, g_j, l, e_ij),   phi = Linear -> SiLU -> Linear,   g = LayerNorm(h)
    h_i <- h_i + Linear(SiLU(W_h g_i + m_i + W_t t))

after EGNN and DiffCSP. Two identities make it fast and change nothing: the first Linear of phi on
a concatenation is a sum of Linears of its parts, so only the part of e_ij costs per edge; and the
last Linear commutes with the mean over j. Per edge one product (features x hidden) and one SiLU
remain. The cell's velocity comes from the mean of the nodes and the cell's own features.
`flowllm.networks.cspnet_pyg` is the same network in plain message passing.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from flowllm.manifolds.crystal import mean_free
from flowllm.networks.features import (
    RadialBasis,
    cell_features,
    difference_features,
    image_distances,
    time_embedding,
)
from flowllm.networks.settings import VelocityConfig


class LayerSizes(Protocol):
    """The part of a network's configuration that a layer needs."""

    @property
    def hidden(self) -> int:
        """Width of node states."""
        ...

    @property
    def time_dim(self) -> int:
        """Width of the embedding of time."""
        ...

    @property
    def edge_features(self) -> int:
        """Number of features of a pair of atoms."""
        ...

    @property
    def cell_inputs(self) -> int:
        """Number of features of a cell."""
        ...


class VelocityLayer(nn.Module):
    """One round of messages; see the module's docstring for the equation."""

    def __init__(self, config: LayerSizes) -> None:
        super().__init__()
        width = config.hidden
        self.norm = nn.LayerNorm(width)
        self.nodes = nn.Linear(width, 3 * width, bias=False)  # W_i, W_j of phi and W_h
        self.edges = nn.Linear(config.edge_features, width, bias=False)
        self.cell = nn.Linear(config.cell_inputs, width)
        self.message = nn.Linear(width, width)
        self.time = nn.Linear(config.time_dim, width, bias=False)
        self.update = nn.Linear(width, width)

    def forward(
        self,
        h: torch.Tensor,
        edges: torch.Tensor,
        cell: torch.Tensor,
        time: torch.Tensor,
        share: torch.Tensor,
    ) -> torch.Tensor:
        """New node states (B, S, H).

        Args:
            h: (B, S, H) node states.
            edges: (B, S, S, F) features of pairs.
            cell: (B, C) features of cells.
            time: (B, T) embedding of time.
            share: (B, S) one over the number of atoms, 0 on padding; or (B, S, S), the weights of
                the messages that each atom i gets from atoms j.
        """
        at_i, at_j, own = self.nodes(self.norm(h)).chunk(3, dim=-1)
        hidden = self.edges(edges)
        hidden.add_((at_i + self.cell(cell)[:, None])[:, :, None]).add_(at_j[:, None])
        hidden = functional.silu(hidden, inplace=not torch.is_grad_enabled())
        weights = share[:, None, None] if share.ndim == 2 else share[:, :, None]
        mean = torch.matmul(weights, hidden).squeeze(2)
        node = self.message(mean) + own + self.time(time)[:, None]
        return h + self.update(functional.silu(node))


class VelocityNet(nn.Module):
    """The velocity of coordinates and cell, in standardised units, at a noisy crystal.

    Only differences of coordinates enter, so it is invariant to translation; it is equivariant to
    permutation of atoms. The output layers start at zero.
    """

    def __init__(self, config: VelocityConfig) -> None:
        super().__init__()
        self.config = config
        self.type_embedding = nn.Embedding(config.num_types, config.hidden)
        self.mix = nn.Linear(config.hidden + config.time_dim, config.hidden)
        self.radial = RadialBasis(config.distance_features) if config.distance_features else None
        self.layers = nn.ModuleList(VelocityLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden)
        self.coord_head = nn.Linear(config.hidden, 3, bias=False)
        self.cell_mix = nn.Linear(config.hidden + config.cell_inputs, config.hidden)
        self.cell_head = nn.Linear(config.hidden, 6)
        for parameter in (*self.coord_head.parameters(), *self.cell_head.parameters()):
            nn.init.zeros_(parameter)

    def edge_features(self, frac_coords: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
        """Features (B, S, S, F) of all pairs of atoms; the second axis is i, the third j."""
        features = difference_features(frac_coords, self.config.num_frequencies)
        if self.radial is None:
            return features
        return torch.cat([features, self.radial(image_distances(frac_coords, metric))], dim=-1)

    def forward(
        self,
        types: torch.Tensor,
        frac_coords: torch.Tensor,
        cell: torch.Tensor,
        metric: torch.Tensor,
        t: torch.Tensor,
        mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocities of coordinates (B, S, 3), mean-free and 0 on padding, and of cells (B, 6).

        Args:
            types: (B, S) int64 atomic numbers; 0 is an open type, and anything on padding.
            frac_coords: (B, S, 3).
            cell: (B, 6) standardised flat cells.
            metric: (B, 3, 3) metric tensors in Å^2, for distances.
            t: (B,) times in [0, 1].
            mask: (B, S) bool, true where an atom is.
        """
        time = time_embedding(t, self.config.time_dim)
        share = mask.to(frac_coords.dtype)
        share = share / share.sum(1, keepdim=True).clamp(min=1.0)
        split = self.config.hidden
        h = functional.linear(self.type_embedding(types), self.mix.weight[:, :split], self.mix.bias)
        h = h + functional.linear(time, self.mix.weight[:, split:])[:, None]
        edges = self.edge_features(frac_coords, metric)
        cell = torch.cat([cell, cell_features(metric, self.config.cell_frequencies)], -1)
        for layer in self.layers:
            h = layer(h, edges, cell, time, share)
        h = self.norm(h)
        v_coords = mean_free(self.coord_head(h), mask)
        mean = (h * share[..., None]).sum(1)
        hidden = functional.silu(self.cell_mix(torch.cat([mean, cell], -1)))
        return v_coords, self.cell_head(hidden)
