"""The product manifold of a crystal's continuous part: coordinates on tori, cell in R^6."""

from __future__ import annotations

from typing import NamedTuple

import torch

from flowllm.manifolds.base import Manifold, per_row
from flowllm.manifolds.euclidean import Euclidean
from flowllm.manifolds.torus import FlatTorus


class CrystalState(NamedTuple):
    """A batch of crystals, padded, or a tangent to one.

    Attributes:
        coords: (B, S, 3) fractional coordinates, or their velocity.
        cell: (B, 6) flat coordinates of the cell (`flowllm.manifolds.lattice`), or their velocity.
    """

    coords: torch.Tensor
    cell: torch.Tensor


class CrystalManifold(Manifold[CrystalState]):
    """T^(3n) x R^6 per crystal; rows beyond a crystal's n atoms are padding and stay put.

    Args:
        mask: (B, S) bool, true where an atom is.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask
        self.torus, self.space = FlatTorus(), Euclidean()

    def expmap(self, x: CrystalState, u: CrystalState) -> CrystalState:
        """Both parts moved; padding stays."""
        coords = self.torus.expmap(x.coords, self._masked(u.coords))
        return CrystalState(coords, self.space.expmap(x.cell, u.cell))

    def logmap(self, x: CrystalState, y: CrystalState) -> CrystalState:
        """The tangent that reaches y, a common translation included; 0 on padding."""
        coords = self._masked(self.torus.logmap(x.coords, y.coords))
        return CrystalState(coords, self.space.logmap(x.cell, y.cell))

    def projx(self, x: CrystalState) -> CrystalState:
        """Coordinates wrapped to [0, 1)."""
        return CrystalState(self.torus.projx(x.coords), x.cell)

    def proju(self, x: CrystalState, u: CrystalState) -> CrystalState:
        """The tangent less its mean over atoms, which would move the crystal as a whole."""
        return CrystalState(mean_free(u.coords, self.mask), u.cell)

    def scale(self, u: CrystalState, factor: torch.Tensor | float) -> CrystalState:
        """Both parts times a number, or one number per crystal (B,)."""
        return CrystalState(*(part * per_row(factor, part) for part in u))

    def add(self, u: CrystalState, v: CrystalState) -> CrystalState:
        """The sum of both parts."""
        return CrystalState(u.coords + v.coords, u.cell + v.cell)

    def _masked(self, coords: torch.Tensor) -> torch.Tensor:
        return coords * self.mask[..., None]


def mean_free(vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Vectors (B, S, 3) less their mean over each crystal's atoms; 0 on padding.

    Args:
        vectors: (B, S, 3).
        mask: (B, S) bool.
    """
    weight = mask[..., None].to(vectors.dtype)
    count = weight.sum(1, keepdim=True).clamp(min=1.0)
    mean = (vectors * weight).sum(1, keepdim=True) / count
    return (vectors - mean) * weight
