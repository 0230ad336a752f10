"""Training crystals with the displacements and strains that their space groups allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import concatenated_ranges
from flowllm.crystals.primitive import niggli_cell
from flowllm.parallel.map import Failure, map_crystals
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import find_symmetry
from flowllm.symmetry.space_group import Family

STRAINS: dict[Family, np.ndarray] = {
    "cubic": np.array([[1, 1, 1, 0, 0, 0]]),
    "hexagonal": np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]),
    "tetragonal": np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]),
    "orthorhombic": np.eye(3, 6, dtype=int),
    "monoclinic": np.eye(6, dtype=int)[[0, 1, 2, 4]],
    "triclinic": np.eye(6, dtype=int),
}
"""Strains xx, yy, zz, yz, xz, xy that a crystal family allows, c along z, a in the xz plane."""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class SymmetricTargets:
    """B crystals of N atoms in all, idealised to their space groups, in reduced primitive cells.

    Attributes:
        atomic_numbers: (N,).
        frac_coords: (N, 3).
        lattices: (B, 3, 3) in Å, vectors as rows, turned as the conventional cell stands.
        num_atoms: (B,).
        num_orbits: (B,).
        orbit: (N,) each atom's orbit, counted from 0 in each crystal.
        moves: (N, 3, 3) a displacement of an orbit's first atom -> that of the atom, in Å as
            columns; directions that the site does not allow give 0.
        strains: (B, 6) how many ways the cell may be strained; projects xx, yy, zz, yz, xz, xy.
    """

    atomic_numbers: np.ndarray
    frac_coords: np.ndarray
    lattices: np.ndarray
    num_atoms: np.ndarray
    num_orbits: np.ndarray
    orbit: np.ndarray
    moves: np.ndarray
    strains: np.ndarray

    def __len__(self) -> int:
        return len(self.num_atoms)

    def __getitem__(self, chosen: np.ndarray) -> SymmetricTargets:
        """Crystals at positions (K,)."""
        offsets = np.cumsum(self.num_atoms) - self.num_atoms
        atoms = concatenated_ranges(offsets[chosen], self.num_atoms[chosen])
        return SymmetricTargets(
            self.atomic_numbers[atoms], self.frac_coords[atoms], self.lattices[chosen],
            self.num_atoms[chosen], self.num_orbits[chosen], self.orbit[atoms],
            self.moves[atoms], self.strains[chosen],
        )  # fmt: skip

    @classmethod
    def of(cls, crystals: CrystalBatch, workers: int | None = 1) -> SymmetricTargets:
        """The crystals' own symmetry, found by spglib; those without any are left out."""
        found = map_crystals(target_of, list(crystals), workers=workers, chunk_size=64)
        rows = [row for row in found if not isinstance(row, Failure)]
        return cls(*(np.concatenate([row[k] for row in rows]) for k in range(8)))


def target_of(crystal: CrystalBatch) -> tuple[np.ndarray, ...]:
    """The arrays of one crystal, a batch of one."""
    found = find_symmetry(crystal)
    group = found.group
    primitive = group.primitive
    lattice = primitive @ found.lattice
    orbits = found.orbits()
    frac = np.concatenate(orbits) @ np.linalg.inv(primitive)
    reduced, frac = niggli_cell(lattice, frac)
    counts = [len(orbit) for orbit in orbits]
    numbers = np.repeat(found.elements, counts)
    total = len(numbers)
    return (
        numbers, frac, reduced[None], np.array([total]), np.array([len(orbits)]),
        np.repeat(np.arange(len(orbits)), counts), np.concatenate(_moves(found)),
        _strain_projection(group.family)[None],
    )  # fmt: skip


def _moves(crystal: SymmetricCrystal) -> list[np.ndarray]:
    """(m, 3, 3) of each orbit: Cartesian displacement of its first atom -> of each atom."""
    lattice, group = crystal.lattice, crystal.group
    back = np.linalg.inv(lattice)
    found = []
    for position in crystal.positions:
        allowed = lattice.T @ position.matrix  # columns are directions in Å
        projection = allowed @ np.linalg.pinv(allowed)
        # x' = W x in fractional columns is r' = Lᵀ W L⁻ᵀ r
        turns = lattice.T @ group.rotations[position.images] @ back.T
        found.append(turns @ projection)
    return found


def _strain_projection(family: Family) -> np.ndarray:
    """(6, 6) projects strains onto those that the family allows (Frobenius product)."""
    weights = np.array([1, 1, 1, 2, 2, 2]) ** 0.5
    rows = STRAINS[family] * weights
    projection = np.linalg.pinv(rows) @ rows
    return projection * weights / weights[:, None]
