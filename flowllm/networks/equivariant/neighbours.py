"""Neighbours of atoms over all periodic images, of many crystals at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Edges(NamedTuple):
    """Directed edges from atoms to neighbours, both directions of a contact among them.

    Attributes:
        centre: (E,) the atom that looks.
        neighbour: (E,) the atom that it sees, perhaps an image of itself.
        vector: (E, 3) from the one to the other, in Å.
    """

    centre: Tensor
    neighbour: Tensor
    vector: Tensor


def neighbours(frac_coords: Tensor, lattices: Tensor, num_atoms: Tensor, cutoff: float) -> Edges:
    """All pairs of atoms of one crystal that are nearer than a cutoff.

    Args:
        frac_coords: (N, 3) of all atoms, those of one crystal beside each other.
        lattices: (B, 3, 3) in Å, vectors as rows; of any shape, the more reduced the faster.
        num_atoms: (B,) atoms of each crystal.
        cutoff: in Å.
    """
    wrapped = frac_coords - frac_coords.floor()
    images, crystal = _images(lattices.detach(), cutoff)
    # every image of every crystal with every pair of its atoms
    pairs = num_atoms[crystal] ** 2
    image = torch.repeat_interleave(torch.arange(len(images), device=pairs.device), pairs)
    place = torch.arange(len(image), device=pairs.device) - (pairs.cumsum(0) - pairs)[image]
    own = crystal[image]
    count, offset = num_atoms[own], (num_atoms.cumsum(0) - num_atoms)[own]
    centre = offset + place // count
    neighbour = offset + place % count
    shift = images[image]
    with torch.no_grad():
        gaps = wrapped[neighbour] - wrapped[centre] + shift
        squared = (torch.einsum("ei,eij->ej", gaps, lattices[own]) ** 2).sum(-1)
        near = torch.nonzero((squared < cutoff**2) & (squared > 1e-6))[:, 0]
    centre, neighbour, own, shift = centre[near], neighbour[near], own[near], shift[near]
    gaps = wrapped[neighbour] - wrapped[centre] + shift
    return Edges(centre, neighbour, torch.einsum("ei,eij->ej", gaps, lattices[own]))


def _images(lattices: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """(I, 3) cells that may hold a neighbour, in lattice vectors, and (I,) their crystals."""
    heights = 1.0 / torch.linalg.inv(lattices).norm(dim=1)  # (B, 3) between faces
    most = (cutoff / heights).floor().long() + 1  # coordinates differ by less than 1
    spans = 2 * most + 1
    sizes = spans.prod(-1)
    crystal = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
    place = torch.arange(len(crystal), device=sizes.device) - (sizes.cumsum(0) - sizes)[crystal]
    span, low = spans[crystal], -most[crystal]
    steps = torch.stack(
        [place // (span[:, 1] * span[:, 2]), place // span[:, 2] % span[:, 1], place % span[:, 2]],
        -1,
    )
    return (steps + low).to(lattices.dtype), crystal
