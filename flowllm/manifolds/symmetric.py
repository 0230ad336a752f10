"""The crystals invariant under a space group: a submanifold, and the projection onto it."""

from __future__ import annotations

from typing import NamedTuple

import torch

from flowllm.manifolds.crystal import CrystalManifold, CrystalState
from flowllm.manifolds.lattice import CellMap, cell_of_metric
from flowllm.manifolds.torus import FlatTorus


class SymmetryOperations(NamedTuple):
    """The K operations of the space groups of B crystals, all in one list.

    An operation takes fractional coordinates x to W x + w; the atom at place i of its crystal lands
    on the one at place `images[i]`.

    Attributes:
        crystals: (K,) int64 the crystal of each operation, in order; each has the identity.
        rotations: (K, 3, 3) W, whole numbers, for columns of fractional coordinates.
        translations: (K, 3) w.
        images: (K, S) int64 places of atoms; padding lands on itself.
    """

    crystals: torch.Tensor
    rotations: torch.Tensor
    translations: torch.Tensor
    images: torch.Tensor

    def to(self, like: torch.Tensor) -> SymmetryOperations:
        """Move to a tensor's device and precision."""
        return SymmetryOperations(
            self.crystals.to(like.device),
            self.rotations.to(like),
            self.translations.to(like),
            self.images.to(like.device),
        )


class SymmetricManifold(CrystalManifold):
    """Crystals of a batch that keep the given space groups and Wyckoff positions.

    Coordinates: the fixed points of a group of isometries are a flat submanifold of the torus, so
    averaging over the group projects tangents onto it, and points that are near. Cells: metric
    tensors with G = W^T G W are a linear space, onto which the mean of W^T G W projects.

    Args:
        mask: (B, S) bool, true where an atom is.
        operations: of the groups; every W, w and image together must be a group.
        cell_map: of the states' cells.
    """

    def __init__(
        self, mask: torch.Tensor, operations: SymmetryOperations, cell_map: CellMap
    ) -> None:
        super().__init__(mask)
        self.operations, self.cell_map = operations, cell_map
        self.orders = torch.bincount(operations.crystals, minlength=len(mask))

    def expmap(self, x: CrystalState, u: CrystalState) -> CrystalState:
        """Moved, and back onto the submanifold: the cell's straight line leaves it."""
        return self.projx(super().expmap(x, u))

    def projx(self, x: CrystalState) -> CrystalState:
        """The mean of a crystal's images; it must be near enough for atoms to find theirs."""
        x = super().projx(x)
        group = self.operations
        turned = self._turned(x.coords) + group.translations[:, None]
        there = x.coords[group.crystals].gather(1, self._places(x.coords))
        away = FlatTorus().logmap(there, turned)
        coords = super().projx(CrystalState(x.coords + self._mean(away), x.cell)).coords
        return CrystalState(coords * self.mask[..., None], self._project_cells(x.cell))

    def proju(self, x: CrystalState, u: CrystalState) -> CrystalState:
        """The tangent's mean over the group, less the common translation; the cell part is kept."""
        u = super().proju(x, u)
        return CrystalState(self._mean(self._turned(u.coords)), u.cell)

    def _turned(self, vectors: torch.Tensor) -> torch.Tensor:
        """W of each operation on its crystal's vectors (B, S, 3), as (K, S, 3)."""
        group = self.operations
        return vectors[group.crystals] @ group.rotations.transpose(1, 2)

    def _places(self, like: torch.Tensor) -> torch.Tensor:
        return self.operations.images[..., None].expand(-1, -1, like.shape[-1])

    def _mean(self, images: torch.Tensor) -> torch.Tensor:
        """The mean (B, S, 3) of the images (K, S, 3) at each position."""
        placed = torch.zeros_like(images).scatter(1, self._places(images), images)
        total = images.new_zeros(len(self.mask), *images.shape[1:])
        total = total.index_add(0, self.operations.crystals, placed)
        return total / self.orders[:, None, None] * self.mask[..., None]

    def _project_cells(self, cells: torch.Tensor) -> torch.Tensor:
        group = self.operations
        metric = self.cell_map.metric(cells)[group.crystals]
        moved = group.rotations.transpose(1, 2) @ metric @ group.rotations
        total = moved.new_zeros(len(cells), 3, 3).index_add(0, group.crystals, moved)
        projected = self.cell_map.to_flat(*cell_of_metric(total / self.orders[:, None, None]))
        # A group of order 1 or 2 without a condition on the cell: spare it the rounding.
        return torch.where((self.orders > 1)[:, None], projected, cells)
