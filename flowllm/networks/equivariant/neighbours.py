"""Neighbours of atoms over all periodic images, of many crystals at once.

Edges come in the order of atoms and of the neighbours that they lead to, so that those to several
images of one neighbour stand beside each other.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Edges(NamedTuple):
    """Directed edges from atoms to neighbours, in both directions.

    Attributes:
        centre: (E,) the atom at which an edge starts, in rising order.
        neighbour: (E,) the atom to which it leads, perhaps an image of the same one.
        vector: (E, 3) from the one to the other, in Å.
        link: (E,) which of P links an edge belongs to: the edges from one atom to all images of
            another are one link.
        links: (2, P) centre and neighbour of each link.
    """

    centre: Tensor
    neighbour: Tensor
    vector: Tensor
    link: Tensor
    links: Tensor


def neighbours(frac_coords: Tensor, lattices: Tensor, num_atoms: Tensor, cutoff: float) -> Edges:
    """All pairs of atoms of one crystal within a cutoff.

    Args:
        frac_coords: (N, 3) of all atoms, those of one crystal beside each other.
        lattices: (B, 3, 3) in Å, vectors as rows; of any shape, the more reduced the faster.
        num_atoms: (B,) atoms of each crystal.
        cutoff: in Å.
    """
    first, second, crystal = _pairs(num_atoms)
    with torch.no_grad():
        steps, image_counts = _images(lattices, cutoff)
        shifts = torch.einsum("ki,kij->kj", steps, _repeat(lattices, image_counts))
        gaps = frac_coords[second] - frac_coords[first]
        nearest = gaps.round()
        gaps = torch.einsum("pi,pij->pj", gaps - nearest, lattices[crystal])
        # every pair of atoms of a crystal with every one of its images
        counts = image_counts[crystal]
        pair = _repeat(torch.arange(len(first), device=first.device), counts)
        begins = (image_counts.cumsum(0) - image_counts)[crystal]
        image = torch.arange(len(pair), device=pair.device) + _repeat(
            begins - (counts.cumsum(0) - counts), counts
        )
        squared = _squared(gaps.index_select(0, pair) + shifts.index_select(0, image))
        near = torch.nonzero((squared < cutoff**2) & (squared > 1e-6))[:, 0]
        pair, image = pair[near], image[near]
    centre, neighbour = first[pair], second[pair]
    gaps = frac_coords[neighbour] - frac_coords[centre] + (steps[image] - nearest[pair])
    vector = torch.einsum("ei,eij->ej", gaps, lattices[crystal[pair]])
    linked, link = torch.unique_consecutive(pair, return_inverse=True)
    return Edges(centre, neighbour, vector, link, torch.stack([first[linked], second[linked]]))


def _pairs(num_atoms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First and second atom (P,) of all ordered pairs within crystals, and their crystals (P,)."""
    squares = num_atoms**2
    crystal = _repeat(torch.arange(len(num_atoms), device=num_atoms.device), squares)
    place = torch.arange(len(crystal), device=num_atoms.device)
    place = place - (squares.cumsum(0) - squares)[crystal]
    count, offset = num_atoms[crystal], (num_atoms.cumsum(0) - num_atoms)[crystal]
    return offset + place // count, offset + place % count, crystal


def _images(lattices: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """(I, 3) images of cells that may hold a neighbour, in lattice vectors; (B,) how many each."""
    heights = 1.0 / torch.linalg.inv(lattices).norm(dim=1)  # (B, 3) between faces
    most = (cutoff / heights + 0.5).floor().long()  # coordinates differ by at most 1/2
    spans = 2 * most + 1
    sizes = spans.prod(-1)
    crystal = _repeat(torch.arange(len(sizes), device=sizes.device), sizes)
    place = torch.arange(len(crystal), device=sizes.device) - (sizes.cumsum(0) - sizes)[crystal]
    span = spans[crystal]
    steps = torch.stack(
        [place // (span[:, 1] * span[:, 2]), place // span[:, 2] % span[:, 1], place % span[:, 2]],
        -1,
    )
    return (steps - most[crystal]).to(lattices.dtype), sizes


def _repeat(values: Tensor, counts: Tensor) -> Tensor:
    return torch.repeat_interleave(values, counts, dim=0)


def _squared(vectors: Tensor) -> Tensor:
    x, y, z = vectors.unbind(-1)
    return x * x + y * y + z * z
