"""The equivariant network in PyTorch Geometric, as a reference for the fast one.

Edges are those of ASE's neighbour list and messages pass through `MessagePassing`; the weights are
the fast network's. Slower, and for reading and testing only.
"""

from __future__ import annotations

from typing import cast

import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing, global_mean_pool
from torch_geometric.utils import scatter

from flowllm.networks.equivariant.network import (
    NEIGHBOURS,
    EquivariantNetwork,
    Layer,
    Moves,
    radial_basis,
)


def graph_of(species: Tensor, frac_coords: Tensor, lattice: Tensor, cutoff: float) -> Data:
    """One crystal's periodic radius graph.

    Args:
        species: (n,) atomic numbers.
        frac_coords: (n, 3).
        lattice: (3, 3) in Å, vectors as rows.
        cutoff: in Å.
    """
    atoms = Atoms(
        numbers=species.numpy(),
        scaled_positions=frac_coords.numpy(),
        cell=lattice.numpy(),
        pbc=True,
    )
    centre, neighbour, vector = neighbor_list("ijD", atoms, cutoff)
    index = torch.tensor([neighbour.tolist(), centre.tolist()])  # messages come from neighbours
    return Data(x=species, edge_index=index, edge_attr=torch.tensor(vector).to(frac_coords))


class EquivariantReference(nn.Module):
    """The same network on a graph.

    Args:
        network: whose weights are used.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.network = network
        self.rounds = nn.ModuleList(_Round(cast(Layer, layer)) for layer in network.layers)
        self.stretch = _Stretch(network)

    def forward(self, graph: Data) -> Moves:
        """The moves of one crystal, or of the crystals of a PyG batch."""
        network = self.network
        distance = graph.edge_attr.norm(dim=-1)
        direction = graph.edge_attr / distance[:, None]
        basis = radial_basis(distance, network.config.basis, network.config.cutoff)
        scalars = network.species_embedding(graph.x)
        vectors = scalars.new_zeros(len(scalars), 3, scalars.shape[1])
        for step in self.rounds:
            scalars, vectors = step(scalars, vectors, graph.edge_index, direction, *basis)
        batch = graph.batch if graph.batch is not None else torch.zeros_like(graph.x)
        moved = network.move_head(vectors)[..., 0]
        scalars = network.norm(scalars)
        outer = self.stretch(scalars, graph.edge_index, direction, *basis) / NEIGHBOURS**0.5
        size = network.size_head(nn.functional.silu(network.size(scalars)))
        outer = outer + size[:, :, None] * torch.eye(3).to(outer)
        strain = global_mean_pool(outer.flatten(1), batch)
        return Moves(moved - global_mean_pool(moved, batch)[batch], strain.reshape(-1, 3, 3))


class _Round(MessagePassing):
    """One layer: messages along the edges, then each atom by itself."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(aggr="sum")
        self.layer = layer

    def forward(
        self,
        scalars: Tensor,
        vectors: Tensor,
        edge_index: Tensor,
        direction: Tensor,
        radial: Tensor,
        fade: Tensor,
    ) -> tuple[Tensor, Tensor]:
        sent = self.layer.before(self.layer.norm(scalars))
        flat = self.propagate(
            edge_index, sent=sent, arrows=vectors.flatten(1), direction=direction, radial=radial,
            fade=fade,
        )  # fmt: skip
        hidden = scalars.shape[1]
        scalars = scalars + flat[:, :hidden] * NEIGHBOURS**-0.5
        vectors = vectors + flat[:, hidden:].reshape(-1, 3, hidden) * NEIGHBOURS**-0.5
        return self.layer.alone(scalars, vectors)

    def message(
        self, sent_j: Tensor, arrows_j: Tensor, direction: Tensor, radial: Tensor, fade: Tensor
    ) -> Tensor:
        plain, along, through = (sent_j * self.layer.radial(radial) * fade[:, None]).chunk(3, -1)
        arrows = arrows_j.reshape(len(plain), 3, -1) * through[:, None]
        arrows = arrows + torch.einsum("ex,eh->exh", direction, along)
        return torch.cat([plain, arrows.flatten(1)], -1)


class _Stretch(nn.Module):
    """The dyads of directions, summed over the neighbours of each atom."""

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        scalars: Tensor,
        edge_index: Tensor,
        direction: Tensor,
        radial: Tensor,
        fade: Tensor,
    ) -> Tensor:
        neighbour, centre = edge_index
        both = torch.cat([scalars[centre], scalars[neighbour]], -1)
        hidden = nn.functional.silu(self.network.ends(both) * self.network.pair(radial))
        weight = self.network.stretch_head(hidden)[:, 0] * fade
        dyads = torch.einsum("e,ex,ey->exy", weight, direction, direction)
        return scatter(dyads, centre, dim=0, dim_size=len(scalars), reduce="sum")
