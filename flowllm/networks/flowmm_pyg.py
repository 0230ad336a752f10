"""FlowMM's velocity network as PyTorch Geometric message passing: slower, and easy to read.

The same function as `flowllm.networks.flowmm.FlowMMNet`, of which it takes the parameters; a test
holds the two equal. Edges, angles and pools are computed here as the paper writes them.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter

from flowllm.manifolds.lattice import cell_of_metric
from flowllm.manifolds.torus import FlatTorus
from flowllm.networks.cspnet import VelocityLayer
from flowllm.networks.cspnet_pyg import linear
from flowllm.networks.features import cell_features, image_distances
from flowllm.networks.flowmm import FlowMMNet, count_embedding


class FlowMMMessages(MessagePassing):
    """One round of messages: the mean over the other atoms j, then a residual update.

    An atom without others gets the message of a mean of zero.

    Args:
        layer: the dense layer whose parameters are taken.
    """

    def __init__(self, layer: VelocityLayer) -> None:
        super().__init__(aggr="mean")
        at_i, at_j, own = layer.nodes.weight.chunk(3)
        self.norm = layer.norm
        self.phi = nn.Sequential(
            linear(
                torch.cat([at_i, at_j, layer.cell.weight, layer.edges.weight], 1), layer.cell.bias
            ),
            nn.SiLU(),
        )
        self.last = layer.message
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
        mean = self.propagate(edge_index, h=normed, edges=edges, cell=cell)
        return h + self.out(self.last(mean) + self.own(torch.cat([normed, time], -1)))

    def message(
        self, h_i: torch.Tensor, h_j: torch.Tensor, cell_i: torch.Tensor, edges: torch.Tensor
    ) -> torch.Tensor:
        """The message along an edge from j to i."""
        return self.phi(torch.cat([h_i, h_j, cell_i, edges], -1))


class ReferenceFlowMMNet(nn.Module):
    """The network on a PyG batch of complete graphs.

    Args:
        net: the dense network whose parameters are taken (not copied).
    """

    def __init__(self, net: FlowMMNet) -> None:
        super().__init__()
        self.net, self.config = net, net.config
        self.layers = nn.ModuleList(
            FlowMMMessages(cast(VelocityLayer, layer)) for layer in net.layers
        )

    def edge_features(self, difference: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
        """Features (E, F) of edges with logarithmic maps (E, 3) and metric tensors (E, 3, 3)."""
        rates = 2.0 * math.pi * torch.arange(1, self.config.num_frequencies + 1)
        phases = (difference[..., None] * rates.to(difference)).flatten(1)
        lattice = torch.linalg.cholesky(metric)  # rows are cell vectors in some orientation
        edge = torch.einsum("ex,exk->ek", difference, lattice)
        lengths, _ = cell_of_metric(metric)
        along = torch.einsum("ek,exk->ex", edge, lattice) / lengths
        cosines = along / edge.norm(dim=-1, keepdim=True).clamp(min=1e-4)
        parts = [phases.sin(), phases.cos(), cosines]
        if self.net.radial is not None:
            pairs = torch.stack([torch.zeros_like(difference), difference], 1)
            parts.append(self.net.radial(image_distances(pairs, metric)[:, 0, 1]))
        return torch.cat(parts, -1)

    def forward(
        self,
        species: torch.Tensor,
        frac_coords: torch.Tensor,
        edge_index: torch.Tensor,
        batch: torch.Tensor,
        cell: torch.Tensor,
        metric: torch.Tensor,
        t: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Velocities of coordinates (N, 3), of cells (B, 6) and of bits (N, 7 or 0).

        Args:
            species: (N,) int64, or (N, 7) analog bits.
            frac_coords: (N, 3).
            edge_index: (2, E) from j to i; edges from an atom to itself are passed over.
            batch: (N,) the crystal of each atom.
            cell: (B, 6) standardised flat cells.
            metric: (B, 3, 3) in Å^2.
            t: (B,).
        """
        net, count = self.net, torch.bincount(batch, minlength=len(t)).to(frac_coords)
        edge_index = edge_index[:, edge_index[0] != edge_index[1]]
        source, target = edge_index
        difference = FlatTorus().logmap(frac_coords[target], frac_coords[source])
        edges = self.edge_features(difference, metric[batch[target]])
        time = net.time_embed(t[:, None])
        of_crystal = torch.cat([time, count_embedding(count, self.config.count_dim)], -1)
        h = net.mix(torch.cat([net.species_embed(species), of_crystal[batch]], -1))
        cell = torch.cat([cell, cell_features(metric, self.config.cell_frequencies)], -1)
        for layer in self.layers:
            h = layer(h, edge_index, edges, cell[batch], time[batch])
        h = net.norm(h)
        v_coords = net.coord_head(h)
        mean_velocity = scatter(v_coords, batch, dim=0, dim_size=len(t), reduce="mean")
        pools = [scatter(h, batch, dim=0, dim_size=len(t), reduce=r) for r in ("mean", "sum")]
        hidden = nn.functional.silu(net.cell_mix(torch.cat([*pools, cell], -1)))
        v_bits = h[:, :0] if net.bits_head is None else net.bits_head(h)
        return v_coords - mean_velocity[batch], net.cell_head(hidden), v_bits
