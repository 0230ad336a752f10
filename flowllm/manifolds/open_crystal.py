"""The product manifold of a whole crystal: coordinates, cell, and species as analog bits."""

from __future__ import annotations

from typing import NamedTuple

import torch

from flowllm.manifolds.base import Manifold, per_row
from flowllm.manifolds.crystal import CrystalManifold, CrystalState
from flowllm.manifolds.euclidean import Euclidean


class OpenCrystalState(NamedTuple):
    """A batch of crystals whose species move too, padded, or a tangent to one.

    Attributes:
        coords: (B, S, 3) fractional coordinates, or their velocity.
        cell: (B, 6) flat coordinates of the cell, or their velocity.
        bits: (B, S, 7) analog bits, or their velocity; (B, S, 0) where species are given.
    """

    coords: torch.Tensor
    cell: torch.Tensor
    bits: torch.Tensor

    @property
    def structure(self) -> CrystalState:
        """Coordinates and cell."""
        return CrystalState(self.coords, self.cell)


class OpenCrystalManifold(Manifold[OpenCrystalState]):
    """T^(3n) x R^6 x R^(7n) per crystal (FlowMM, section 3.1); rows of padding stay put.

    Args:
        mask: (B, S) bool, true where an atom is.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask
        self.crystal, self.space = CrystalManifold(mask), Euclidean()

    def expmap(self, x: OpenCrystalState, u: OpenCrystalState) -> OpenCrystalState:
        """All parts moved; padding stays."""
        moved = self.crystal.expmap(x.structure, u.structure)
        return OpenCrystalState(*moved, self.space.expmap(x.bits, self._masked(u.bits)))

    def logmap(self, x: OpenCrystalState, y: OpenCrystalState) -> OpenCrystalState:
        """The tangent that reaches y, a common translation included; 0 on padding."""
        found = self.crystal.logmap(x.structure, y.structure)
        return OpenCrystalState(*found, self._masked(self.space.logmap(x.bits, y.bits)))

    def projx(self, x: OpenCrystalState) -> OpenCrystalState:
        """Coordinates wrapped to [0, 1)."""
        return OpenCrystalState(*self.crystal.projx(x.structure), x.bits)

    def proju(self, x: OpenCrystalState, u: OpenCrystalState) -> OpenCrystalState:
        """The tangent less the mean over atoms of its coordinates."""
        return OpenCrystalState(*self.crystal.proju(x.structure, u.structure), u.bits)

    def scale(self, u: OpenCrystalState, factor: torch.Tensor | float) -> OpenCrystalState:
        """All parts times a number, or one number per crystal (B,)."""
        return OpenCrystalState(*(part * per_row(factor, part) for part in u))

    def add(self, u: OpenCrystalState, v: OpenCrystalState) -> OpenCrystalState:
        """The sum of all parts."""
        return OpenCrystalState(*(a + b for a, b in zip(u, v, strict=True)))

    def _masked(self, bits: torch.Tensor) -> torch.Tensor:
        return bits * self.mask[..., None]
