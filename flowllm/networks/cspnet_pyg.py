"""The velocity network as PyTorch Geometric message passing: slower, and easy to read.

The same function as `flowllm.networks.cspnet.VelocityNet`, of which it takes the parameters; a test
holds the two equal. Here every message is computed as the papers write it, as phi of a
concatenation.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter

from flowllm.networks.cspnet import VelocityLayer, VelocityNet
from flowllm.networks.features import (
    cell_features,
    difference_features,
    image_distances,
    time_embedding,
)


class MessageLayer(MessagePassing):
    """One round of messages, m_ij = phi(g_i, g_j, l, e_ij), mean over j, residual update.

    Args:
        layer: the dense layer whose parameters are taken.
    """

    def __init__(self, layer: VelocityLayer) -> None:
        super().__init__(aggr="mean")
        at_i, at_j, own = layer.nodes.weight.chunk(3)
        self.norm = layer.norm
        first = linear(
            torch.cat([at_i, at_j, layer.cell.weight, layer.edges.weight], 1), layer.cell.bias
        )
        self.phi = nn.Sequential(first, nn.SiLU(), layer.message)
        self.own = linear(torch.cat([own, layer.time.weight], 1), None)
        self.out = nn.Sequential(nn.SiLU(), layer.update)

    def forward(
        self,
        h: torch.Tensor,
        edge_index: torch.Tensor,
        edges: torch.Tensor,
        cell: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """New states (N, H); edges (E, F) and, of each node's crystal, cell (N, C), time (N, T)."""
        normed = self.norm(h)
        message = self.propagate(edge_index, h=normed, edges=edges, cell=cell)
        return h + self.out(message + self.own(torch.cat([normed, time], -1)))

    def message(
        self, h_i: torch.Tensor, h_j: torch.Tensor, cell_i: torch.Tensor, edges: torch.Tensor
    ) -> torch.Tensor:
        """phi for every edge from j to i."""
        return self.phi(torch.cat([h_i, h_j, cell_i, edges], -1))


class ReferenceVelocityNet(nn.Module):
    """The network on a PyG batch of complete graphs.

    Args:
        net: the dense network whose parameters are taken (not copied).
    """

    def __init__(self, net: VelocityNet) -> None:
        super().__init__()
        self.config, self.type_embedding, self.mix, self.radial = (
            net.config,
            net.type_embedding,
            net.mix,
            net.radial,
        )
        self.layers = nn.ModuleList(
            MessageLayer(cast(VelocityLayer, layer)) for layer in net.layers
        )
        self.norm, self.coord_head = net.norm, net.coord_head
        self.to_cell = nn.Sequential(net.cell_mix, nn.SiLU(), net.cell_head)

    def forward(
        self,
        types: torch.Tensor,
        frac_coords: torch.Tensor,
        edge_index: torch.Tensor,
        batch: torch.Tensor,
        cell: torch.Tensor,
        metric: torch.Tensor,
        t: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocities of coordinates (N, 3) and of cells (B, 6).

        Args:
            types: (N,) int64.
            frac_coords: (N, 3).
            edge_index: (2, E) from j to i, self-edges included.
            batch: (N,) the crystal of each atom.
            cell: (B, 6) standardised flat cells.
            metric: (B, 3, 3) in Å^2.
            t: (B,).
        """
        source, target = edge_index
        pairs = torch.stack([frac_coords[target], frac_coords[source]], 1)
        edges = difference_features(pairs, self.config.num_frequencies)[:, 0, 1]
        if self.radial is not None:
            distances = image_distances(pairs, metric[batch[target]])[:, 0, 1]
            edges = torch.cat([edges, self.radial(distances)], -1)
        time = time_embedding(t, self.config.time_dim)[batch]
        h = self.mix(torch.cat([self.type_embedding(types), time], -1))
        cell = torch.cat([cell, cell_features(metric, self.config.cell_frequencies)], -1)
        for layer in self.layers:
            h = layer(h, edge_index, edges, cell[batch], time)
        h = self.norm(h)
        v_coords = self.coord_head(h)
        v_coords = v_coords - scatter(v_coords, batch, dim=0, dim_size=len(t), reduce="mean")[batch]
        mean = scatter(h, batch, dim=0, dim_size=len(t), reduce="mean")
        return v_coords, self.to_cell(torch.cat([mean, cell], -1))


def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """A Linear of the given weight and bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach())
    return layer
