"""Training targets of the decoder: noisy species, and vectors to each atom's nearest image."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

IMAGES = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=3)))


def to_nearest_image(start: Tensor, end: Tensor, lattices: Tensor, crystal: Tensor) -> Tensor:
    """(N, 3) in Å: from atoms to the nearest images of others, each with its partner.

    The nearest of the 27 images around the one of wrapped coordinates; in strongly skewed cells,
    which are not reduced ones, it may lie farther out.

    Args:
        start: (N, 3) fractional coordinates.
        end: (N, 3) of the partners.
        lattices: (B, 3, 3) in Å, vectors as rows.
        crystal: (N,) whose lattice counts.
    """
    gaps = end - start
    gaps = gaps - gaps.round()
    images = IMAGES.to(gaps)
    vectors = torch.einsum("nki,nij->nkj", gaps[:, None] + images, lattices[crystal])
    nearest = vectors.square().sum(-1).argmin(1)
    return vectors[torch.arange(len(vectors), device=vectors.device), nearest]


def noisy_species(species: Tensor, composition: Tensor, level: Tensor, uniform: Tensor) -> Tensor:
    """(N,) atomic numbers drawn from 1 for the true species plus σ times the composition.

    Args:
        species: (N,) true atomic numbers.
        composition: (N, SPECIES) probabilities.
        level: (N,) σ of species.
        uniform: (N,) numbers in [0, 1) to draw with.
    """
    weights = composition * level[:, None]
    weights = weights.scatter_add(1, species[:, None] - 1, torch.ones_like(weights[:, :1]))
    cumulative = weights.cumsum(1)
    drawn = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(1)
    return drawn.clamp(max=weights.shape[1] - 1) + 1
