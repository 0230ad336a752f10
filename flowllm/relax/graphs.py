"""Bonds and angles of several crystals at once, as CHGNet's graph converter finds them.

The converter builds Python objects edge by edge, which takes longer than the network here. The
same graph follows from pymatgen's neighbour search with array operations: each bond once, those of
the bond graph first, and each pair of short bonds that meet in an atom once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.cells import concatenated_ranges

ATOM_CUTOFF = 6.0
"""Å; longest bond of CHGNet's atom graph."""

BOND_CUTOFF = 3.0
"""Å; longest bond of CHGNet's bond graph, the ones that form angles."""

IMAGE_CODE = 1 << 20


@dataclass(frozen=True)
class BondGraph:
    """U bonds, each once, and P pairs of bonds that meet, of B crystals with N atoms.

    Attributes:
        first: (U,) int64, atom at one end; the S short bonds come first.
        second: (U,) int64, atom at the other.
        vectors: (U, 3) float64 in Å, from the first atom to the image of the second.
        crystal: (U,) int64, the crystal that each bond belongs to.
        short: S, the number of bonds within the bond graph's cutoff.
        pairs: (P, 2) int64, short bonds with direction that start from one atom: d < S is bond d
            from its first atom, d >= S is bond d - S from its second.
    """

    first: np.ndarray
    second: np.ndarray
    vectors: np.ndarray
    crystal: np.ndarray
    short: int
    pairs: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """(2S,) int64: the atom that each short bond with direction starts from."""
        return np.concatenate([self.first[: self.short], self.second[: self.short]])


@dataclass(frozen=True)
class Bonds:
    """U bonds of one crystal with n atoms, each once.

    Attributes:
        first: (U,) int64, atom at one end.
        second: (U,) int64, atom at the other.
        vectors: (U, 3) float64 in Å, from the first atom to the image of the second.
        lengths: (U,) float64 in Å.
        num_atoms: n.
    """

    first: np.ndarray
    second: np.ndarray
    vectors: np.ndarray
    lengths: np.ndarray
    num_atoms: int

    @property
    def lonely(self) -> bool:
        """Whether an atom has no bond at all."""
        return len(np.union1d(self.first, self.second)) < self.num_atoms

    @property
    def num_angles(self) -> int:
        """Ordered pairs of short bonds that meet in an atom."""
        near = self.lengths < BOND_CUTOFF
        ends = np.concatenate([self.first[near], self.second[near]])
        degrees = np.bincount(ends, minlength=self.num_atoms)
        return int((degrees * (degrees - 1)).sum())


def find_bonds(frac_coords: np.ndarray, lattice: np.ndarray) -> Bonds:
    """The bonds of a crystal with (n, 3) coordinates and a (3, 3) lattice in Å, rows vectors."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    lattice = np.ascontiguousarray(lattice)
    positions = np.ascontiguousarray(frac_coords @ lattice)
    periodic = np.ones(3, dtype=np.int64)
    first, second, images, lengths = find_points_in_spheres(
        positions, positions, ATOM_CUTOFF, periodic, lattice, 1e-8
    )
    # of the two directions of a bond one is kept; an atom is not a neighbour of itself
    code = images @ np.array([IMAGE_CODE**2, IMAGE_CODE, 1.0])
    kept = (first < second) | ((first == second) & (code > 0))
    first, second, images, lengths = first[kept], second[kept], images[kept], lengths[kept]
    vectors = positions[second] + images @ lattice - positions[first]
    return Bonds(first, second, vectors, lengths, len(positions))


def join_bonds(parts: Sequence[Bonds]) -> BondGraph:
    """One graph of several crystals."""
    num_atoms = np.array([part.num_atoms for part in parts])
    offsets = np.cumsum(num_atoms) - num_atoms
    first = np.concatenate([b.first + o for b, o in zip(parts, offsets, strict=True)])
    second = np.concatenate([b.second + o for b, o in zip(parts, offsets, strict=True)])
    crystal = np.repeat(np.arange(len(parts)), [len(part.first) for part in parts])
    vectors = np.concatenate([part.vectors for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    order = np.argsort(lengths >= BOND_CUTOFF, kind="stable")
    first, second, vectors, crystal = (x[order] for x in (first, second, vectors, crystal))
    short = int((lengths < BOND_CUTOFF).sum())
    starts = np.concatenate([first[:short], second[:short]])
    pairs = meeting_pairs(starts, int(num_atoms.sum()))
    return BondGraph(first, second, vectors, crystal, short, pairs)


def meeting_pairs(starts: np.ndarray, num_atoms: int) -> np.ndarray:
    """(P, 2) positions in starts (D,) of equal value, each pair once."""
    order = np.argsort(starts, kind="stable")
    counts = np.bincount(starts, minlength=num_atoms)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    later = np.repeat(counts, counts) - 1 - place  # members of the group that come after
    one = np.repeat(np.arange(len(order)), later)
    other = concatenated_ranges(np.arange(len(order)) + 1, later)
    return np.stack([order[one], order[other]], axis=1)
