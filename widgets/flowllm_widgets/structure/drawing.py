"""What is drawn of a crystal that moves: a fixed number of atoms and bonds over all frames.

A viewer takes up atoms and bonds once and then only moves them, so everything that is needed at any
frame has a place in all of them, and hides inside an atom where it is not needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import lattice_matrices
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.structure3d import SHORTEST_BOND, Drawing, ball_radii, bond_reach, boundary

MAX_ATOMS = 600  # in the repeated cell; more of them are no longer told apart
SHIFTS = np.array(list(itertools.product((0, 1, -1), repeat=3)))


@dataclass(frozen=True)
class MovingDrawing:
    """T frames of M atoms and K bonds of one crystal; a still crystal has one frame.

    Attributes:
        positions: (T, M, 3) float32 Å: the atoms of the repeated cell, then their images on its
            faces, edges and corners. An image that a frame does not need lies in its atom.
        needed: (T, M) bool, whether an atom or image belongs to the frame.
        numbers: (T, M) int64 atomic numbers; 0 where a species is open.
        source: (M,) int64, the atom of the crystal that each one is or repeats.
        corners: (T, P, 3) float32 Å, the corners of all cells, P = 8 for one.
        edges: (E, 2) int64, pairs of corners that an edge joins, E = 12 for one cell.
        centres: (T, 3) float32 Å, the middle of the repeated cell.
        bonds: (K, 2) int64, pairs of atoms that are bonded at a frame at least.
        bonded: (T, K) bool, whether a pair is bonded at a frame.
        supercell: repetitions along a, b and c.
    """

    positions: np.ndarray
    needed: np.ndarray
    numbers: np.ndarray
    source: np.ndarray
    corners: np.ndarray
    edges: np.ndarray
    centres: np.ndarray
    bonds: np.ndarray
    bonded: np.ndarray
    supercell: tuple[int, int, int]

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.positions)

    @property
    def species_change(self) -> bool:
        """Whether an atom has another species at some frame than at the first."""
        return bool((self.numbers != self.numbers[0]).any())

    def labels(self, frame: int = 0) -> list[str]:
        """Element and number of each atom, as in "Ti1"; images carry that of their atom."""
        pairs = zip(self.numbers[frame], self.source, strict=True)
        return [f"{SYMBOLS[number]}{index + 1}" for number, index in pairs]

    @property
    def radii(self) -> np.ndarray:
        """(T, M) Å, radii of the balls."""
        return ball_radii(self.numbers)

    @property
    def extent(self) -> float:
        """Å, the radius of the ball around the middle that holds everything, at all frames."""
        atoms = np.linalg.norm(self.positions - self.centres[:, None], axis=-1) + self.radii
        corners = np.linalg.norm(self.corners - self.centres[:, None], axis=-1)
        return float(max(atoms.max(initial=0.0), corners.max()))

    def at(self, frame: int) -> Drawing:
        """What belongs to one frame, about the middle of the repeated cell."""
        kept = np.flatnonzero(self.needed[frame])
        place = np.full(len(self.source), -1)
        place[kept] = np.arange(len(kept))
        return Drawing(
            self.positions[frame, kept] - self.centres[frame],
            self.numbers[frame, kept],
            self.source[kept],
            place[self.bonds[self.bonded[frame]]],
            (self.corners[frame] - self.centres[frame])[self.edges],
        )


def draw_still(crystal: CrystalBatch, supercell: Sequence[int] = (1, 1, 1)) -> MovingDrawing:
    """The drawing of a batch of one crystal, as one frame.

    Raises:
        InputError: as `draw_moving`.
    """
    return draw_moving(Trajectory.from_frames([0.0], [crystal]), supercell)


def draw_moving(trajectory: Trajectory, supercell: Sequence[int] = (1, 1, 1)) -> MovingDrawing:
    """The drawing of a trajectory of one crystal.

    Args:
        trajectory: T frames of one crystal.
        supercell: repetitions along a, b and c.

    Raises:
        InputError: not one crystal, a cell that spans no volume, or a supercell that is not three
            whole numbers of at least 1 or holds more than `MAX_ATOMS` atoms.
    """
    if trajectory.num_crystals != 1:
        raise InputError(f"one crystal is drawn at a time, not {trajectory.num_crystals}")
    count = int(trajectory.num_atoms[0])
    repeats = _checked(supercell, count)
    lattices = lattice_matrices(trajectory.lengths[:, 0], trajectory.angles[:, 0])
    cells = np.array(list(itertools.product(*map(range, repeats))))
    # (T, C N, 3) in units of the repeated cell, whose lattice has the rows repeats * lattice
    copies = (trajectory.frac_coords[:, None] + cells[None, :, None]).reshape(
        len(trajectory), -1, 3
    ) / np.array(repeats)
    large = lattices * np.array(repeats)[:, None]
    near = (boundary(lattices) / np.array(repeats))[:, None]
    # an atom at 0.99 lies on the face at 0 as well as one at 0.01 lies on the face at 1
    reaches = np.stack([np.ones_like(copies, dtype=bool), copies < near, copies > 1 - near])
    wanted = np.ones((len(trajectory), copies.shape[1], len(SHIFTS)), dtype=bool)
    for axis in range(3):
        wanted &= np.moveaxis(reaches[SHIFTS[:, axis], :, :, axis], 0, -1)
    atom, shift = np.nonzero(wanted.any(0))
    order = np.argsort(shift != 0, kind="stable")  # first the atoms, then the images
    atom, shift = atom[order], shift[order]
    needed = wanted[:, atom, shift]
    moved = copies[:, atom] + np.where(needed[..., None], SHIFTS[shift], 0)
    positions = (moved @ large).astype(np.float32)
    source = atom % count
    numbers = trajectory.atomic_numbers[:, source]
    grid = np.array(list(itertools.product(*(range(n + 1) for n in repeats))))
    bonds, bonded = _bonds(positions, needed, numbers)
    return MovingDrawing(
        positions,
        needed,
        numbers,
        source,
        (grid @ lattices).astype(np.float32),
        np.argwhere(np.triu(np.abs(grid[:, None] - grid).sum(-1) == 1)),
        (large.sum(1) / 2).astype(np.float32),
        bonds,
        bonded,
        repeats,
    )


def _checked(supercell: Sequence[int], atoms: int) -> tuple[int, int, int]:
    """The supercell, if it can be drawn of a crystal of so many atoms."""
    text = "×".join(str(n) for n in supercell)
    whole = all(isinstance(n, int | np.integer) and n >= 1 for n in supercell)
    if len(supercell) != 3 or not whole:
        raise InputError(f"supercell {text}: give three whole numbers of at least 1")
    a, b, c = (int(n) for n in supercell)
    if a * b * c * atoms > MAX_ATOMS:
        raise InputError(
            f"supercell {text} holds {a * b * c * atoms:,} atoms; up to {MAX_ATOMS:,} are drawn"
        )
    return a, b, c


def _bonds(
    positions: np.ndarray, needed: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (K, 2) bonded at any frame, and whether they are (T, K)."""
    reach, size = bond_reach(numbers[0]), numbers.shape[1]
    found, before = [], numbers[0]
    for frame, at, kinds in zip(positions, needed, numbers, strict=True):
        if (kinds != before).any():
            reach, before = bond_reach(kinds), kinds
        pairs = cKDTree(frame).query_pairs(reach.max(initial=0.0), output_type="ndarray")
        one, other = np.sort(pairs, axis=1).T
        distances = np.linalg.norm(frame[one] - frame[other], axis=-1)
        close = (distances < reach[one, other]) & (distances > SHORTEST_BOND)
        close &= at[one] & at[other]
        found.append(one[close] * size + other[close])
    keys = np.unique(np.concatenate(found))
    bonded = np.stack([np.isin(keys, here) for here in found])
    return np.stack(np.divmod(keys, size), axis=-1), bonded
