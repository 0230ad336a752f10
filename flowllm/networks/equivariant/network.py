"""Message passing with scalars and vectors (PaiNN, Schütt et al., ICML 2021), for crystals.

Scalars see distances, vectors sum directions, and their products see angles. Displacements of atoms
and a symmetric strain of the cell come out. Nothing depends on axes, origin, choice of cell or
order of atoms; everything vanishes smoothly at the cutoff. Atoms that an operation of the space
group exchanges get displacements that it exchanges: the symmetry of the input is kept.

Messages are linear in the radial functions, and what they carry of a neighbour is the same for all
of its images. So the radial functions are summed over images once, before the layers, which then
work on links of two atoms: there are fewer of them than edges, and sums over edges come out the
same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from flowllm.errors import InputError
from flowllm.networks.equivariant.neighbours import Edges, neighbours
from flowllm.networks.equivariant.settings import EquivariantConfig

ELEMENTS = 119  # embeddings, by atomic number
NEIGHBOURS = 30.0  # about as many as an atom has: sums over them are divided by it


class Moves(NamedTuple):
    """The network's outputs for B crystals of N atoms in all.

    Attributes:
        displacement: (N, 3) in Å, its mean over each crystal removed.
        strain: (B, 3, 3) symmetric, the logarithm of a stretch of the cell.
    """

    displacement: Tensor
    strain: Tensor


class EquivariantNetwork(nn.Module):
    """Displacements and strain from species, coordinates and cells.

    Args:
        config: its sizes.
    """

    def __init__(self, config: EquivariantConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.species_embedding = nn.Embedding(ELEMENTS, hidden)
        self.time = nn.Linear(1, hidden) if config.timed else None
        self.layers = nn.ModuleList(Layer(hidden, config.basis) for _ in range(config.layers))
        self.norm = nn.LayerNorm(hidden)
        self.size = nn.Linear(hidden, hidden)
        self.size_head = nn.Linear(hidden, 1)
        self.pair = nn.Linear(config.basis, hidden)
        self.ends = nn.Linear(2 * hidden, hidden)
        self.stretch_head = nn.Linear(hidden, 1)
        self.move_head = nn.Linear(hidden, 1, bias=False)
        nn.init.normal_(self.stretch_head.weight, std=0.01)
        for parameter in (self.stretch_head.bias, *self.size_head.parameters()):
            nn.init.zeros_(parameter)

    def forward(
        self,
        species: Tensor,
        frac_coords: Tensor,
        lattices: Tensor,
        num_atoms: Tensor,
        time: Tensor | None = None,
        edges: Edges | None = None,
    ) -> Moves:
        """The moves.

        Args:
            species: (N,) atomic numbers.
            frac_coords: (N, 3).
            lattices: (B, 3, 3) in Å, vectors as rows.
            num_atoms: (B,).
            time: (B,), of a network that takes it.
            edges: what `neighbours` finds within the cutoff, where it is known already.
        """
        config = self.config
        if edges is None:
            edges = neighbours(frac_coords, lattices, num_atoms, config.cutoff)
        crystal = torch.repeat_interleave(
            torch.arange(len(num_atoms), device=species.device), num_atoms,
            output_size=len(species),
        )  # fmt: skip
        distance = edges.vector.norm(dim=-1)
        direction = edges.vector / distance[:, None]
        radial, fade = radial_basis(distance, config.basis, config.cutoff)
        links = Links.of(edges, direction, radial * fade[:, None])
        scalars = self.species_embedding(species)
        if self.time is not None:
            if time is None:
                raise InputError("this network needs the time")
            scalars = scalars + self.time(time[:, None])[crystal]
        vectors = scalars.new_zeros(len(species), 3, config.hidden)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, links)
        moved = self.move_head(vectors)[..., 0]
        scalars = self.norm(scalars)
        left, right = self.ends.weight.chunk(2, dim=1)  # of an atom as centre and as neighbour
        ends = torch.addmm(self.ends.bias, scalars, left.T)[links.centre]
        ends = ends + (scalars @ right.T)[links.neighbour]
        pair = ends.index_select(0, edges.link) * self.pair(radial)
        weight = self.stretch_head(nn.functional.silu(pair)) * fade[:, None]
        outer = (weight * direction)[:, :, None] * direction[:, None, :]
        per_atom = outer.new_zeros(len(species), 3, 3).index_add(0, edges.centre, outer)
        shape = _mean(per_atom, crystal, num_atoms) / NEIGHBOURS**0.5
        size = self.size_head(nn.functional.silu(self.size(scalars)))
        size = _mean(size, crystal, num_atoms)[:, :, None]
        return Moves(
            moved - _mean(moved, crystal, num_atoms)[crystal],
            shape + size * torch.eye(3, dtype=shape.dtype, device=shape.device),
        )


class Links(NamedTuple):
    """Features of the P links, shared by all layers.

    Attributes:
        centre: (P,) the atom that receives.
        neighbour: (P,) the atom that sends.
        waves: (P, K) radial functions, summed over the images of the neighbour.
        arrows: (P, 3, K) radial functions times directions, summed likewise.
    """

    centre: Tensor
    neighbour: Tensor
    waves: Tensor
    arrows: Tensor

    @classmethod
    def of(cls, edges: Edges, direction: Tensor, radial: Tensor) -> Links:
        """The links of edges with directions (E, 3) and fading radial functions (E, K)."""
        one = torch.cat([torch.ones_like(direction[:, :1]), direction], 1)
        summed = _sum(one[:, :, None] * radial[:, None], edges.link, edges.links.shape[1])
        centre, neighbour = edges.links
        return cls(centre, neighbour, summed[:, 0], summed[:, 1:])


class Layer(nn.Module):
    """One round of messages and the update of each atom."""

    def __init__(self, hidden: int, basis: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(),
                                    nn.Linear(hidden, 3 * hidden))  # fmt: skip
        self.radial = nn.Linear(basis, 3 * hidden, bias=False)
        self.mix = nn.Linear(hidden, 2 * hidden, bias=False)
        self.update = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.SiLU(),
                                    nn.Linear(hidden, 3 * hidden))  # fmt: skip
        self.norm = nn.LayerNorm(hidden)

    def forward(self, scalars: Tensor, vectors: Tensor, links: Links) -> tuple[Tensor, Tensor]:
        """New scalars (N, H) and vectors (N, 3, H) from those of the neighbours."""
        plain, along, through = self.before(self.norm(scalars)).chunk(3, -1)
        of_plain, of_along, of_through = self.radial.weight.chunk(3)
        plain = plain.index_select(0, links.neighbour) * (links.waves @ of_plain.T)
        passed = (through[:, None] * vectors).index_select(0, links.neighbour)
        passed = passed * (links.waves @ of_through.T)[:, None]
        along = along.index_select(0, links.neighbour)
        passed = torch.addcmul(passed, along[:, None], links.arrows @ of_along.T)
        scale, count = NEIGHBOURS**-0.5, len(scalars)
        scalars = scalars + scale * _sum(plain, links.centre, count)
        vectors = vectors + scale * _sum(passed, links.centre, count)
        return self.alone(scalars, vectors)

    def alone(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The update of each atom from its own scalars (N, H) and vectors (N, 3, H).

        Vectors are shortened to a mean square below 1: products of them, layer upon layer, would
        else send atoms of a crowded crystal away by many cells.
        """
        size = vectors.square().sum(1).mean(-1)
        vectors = vectors * (1 + size).rsqrt()[:, None, None]
        left, right = self.mix(vectors).chunk(2, -1)
        length = (right.square().sum(1) + 1e-8).sqrt()
        keep, gate, product = self.update(torch.cat([self.norm(scalars), length], -1)).chunk(3, -1)
        scalars = scalars + keep + product * (left * right).sum(1)
        return scalars, vectors + gate[:, None] * left


def radial_basis(distance: Tensor, count: int, cutoff: float) -> tuple[Tensor, Tensor]:
    """(E, K) Bessel functions of distances (E,), and (E,) a factor that fades at the cutoff.

    DimeNet's (Gasteiger et al., ICLR 2020): sines over the distance, and a polynomial whose first
    and second derivative vanish at the cutoff too.
    """
    scaled = distance / cutoff
    orders = torch.arange(1, count + 1, device=distance.device, dtype=distance.dtype)
    waves = torch.sin(math.pi * orders * scaled[:, None]) / scaled[:, None]
    power = 6
    fade = (
        1
        - (power + 1) * (power + 2) / 2 * scaled**power
        + power * (power + 2) * scaled ** (power + 1)
        - power * (power + 1) / 2 * scaled ** (power + 2)
    )
    return waves * (2 / cutoff) ** 0.5, torch.where(scaled < 1, fade, torch.zeros_like(fade))


def _sum(values: Tensor, place: Tensor, count: int) -> Tensor:
    return values.new_zeros(count, *values.shape[1:]).index_add(0, place, values)


def _mean(values: Tensor, crystal: Tensor, num_atoms: Tensor) -> Tensor:
    total = _sum(values, crystal, len(num_atoms))
    return total / num_atoms.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
