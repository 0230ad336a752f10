"""The drawing of a moving crystal: a fixed number of atoms, bonds and faces over all frames.

A viewer takes up atoms and bonds once and then only moves them, so everything that is needed at any
frame has a place in all of them, and hides inside an atom where it is not needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import lattice_matrices
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.balls import ball_radii
from flowllm.viz.drawing import Drawing
from flowllm.viz.element_colours import colours_of_paths
from flowllm.viz.picture import Picture, picture_of

MAX_ATOMS = 600  # in the repeated cell; more of them are no longer told apart
NOBODY = -1  # in arrays of places, where a frame has fewer faces than another


@dataclass(frozen=True)
class MovingDrawing:
    """T frames of M atoms and K bonds of one crystal; a still crystal has one frame.

    Attributes:
        positions: (T, M, 3) float32 Å: the atoms of the repeated cell, then their images on its
            faces, edges and corners, and beyond them those that complete the shells of cations.
            An image that a frame does not need lies in its atom.
        needed: (T, M) bool, whether an atom or image belongs to the frame.
        numbers: (T, M) int64 atomic numbers; 0 where a species is open.
        source: (M,) int64, the atom of the crystal that each one is or repeats.
        corners: (T, P, 3) float32 Å, the corners of all cells, P = 8 for one.
        edges: (E, 2) int64, pairs of corners that an edge joins, E = 12 for one cell.
        centres: (T, 3) float32 Å, the middle of the repeated cell.
        bonds: (K, 2) int64, pairs of atoms that are bonded at a frame at least.
        bonded: (T, K) bool, whether a pair is bonded at a frame.
        triangles: (T, F, 3) int32, atoms at the corners of coordination polyhedra, from outside
            counter-clockwise; -1 where a frame has fewer.
        middles: (T, F) int32, the cation in the middle of the polyhedron of each triangle, or -1.
        creases: (T, L, 2) int32, pairs of atoms that an edge of a polyhedron joins, or -1.
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
    triangles: np.ndarray
    middles: np.ndarray
    creases: np.ndarray
    supercell: tuple[int, int, int]

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.positions)

    @property
    def species_change(self) -> bool:
        """Whether any atom's species differs from its first in some frame."""
        return bool((self.numbers != self.numbers[0]).any())

    def labels(self, frame: int = 0) -> list[str]:
        """Element and number of each atom, as in "Ti1"; images carry that of their atom."""
        pairs = zip(self.numbers[frame], self.source, strict=True)
        return [f"{SYMBOLS[number]}{index + 1}" for number, index in pairs]

    @property
    def labelled(self) -> int:
        """How many atoms, from the first on, carry their label in a picture.

        Of one cell all that are drawn; of a repeated one its first cell, for the others only hide
        each other.
        """
        if self.supercell == (1, 1, 1):
            return len(self.source)
        return int(self.source.max(initial=-1)) + 1

    @cached_property
    def colours(self) -> Mapping[int, str]:
        """{atomic number: colour} over all frames; pictures beside it may need others."""
        return colours_of_paths([self.numbers])[0]

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
        """The content of one frame, about the middle of the repeated cell."""
        kept = np.flatnonzero(self.needed[frame])
        place = np.full(len(self.source), -1)
        place[kept] = np.arange(len(kept))
        return Drawing(
            self.positions[frame, kept] - self.centres[frame],
            self.numbers[frame, kept],
            self.source[kept],
            place[self.bonds[self.bonded[frame]]],
            (self.corners[frame] - self.centres[frame])[self.edges],
            place[_there(self.triangles[frame])],
            place[_there(self.middles[frame])],
            place[_there(self.creases[frame])],
            self.colours,
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
    frames = [
        picture_of(lattice, coords, numbers, repeats)
        for lattice, coords, numbers in zip(
            lattices, trajectory.frac_coords, trajectory.atomic_numbers, strict=True
        )
    ]
    source, shift, places = _united(frames, repeats)
    needed = np.zeros((len(frames), len(source)), dtype=bool)
    for frame, place in enumerate(places):
        needed[frame, place] = True
    # where it is not needed, an atom lies in the one that it repeats, in the first cell
    moved = trajectory.frac_coords[:, source] + np.where(needed[..., None], shift, 0)
    bonds, bonded = _bonds(frames, places, len(source))
    grid = np.array(list(itertools.product(*(range(n + 1) for n in repeats))))
    large = lattices * np.array(repeats)[:, None]
    return MovingDrawing(
        (moved @ lattices).astype(np.float32),
        needed,
        trajectory.atomic_numbers[:, source],
        source,
        (grid @ lattices).astype(np.float32),
        np.argwhere(np.triu(np.abs(grid[:, None] - grid).sum(-1) == 1)),
        (large.sum(1) / 2).astype(np.float32),
        bonds,
        bonded,
        _padded([place[f.triangles] for f, place in zip(frames, places, strict=True)]),
        _padded([place[f.middles] for f, place in zip(frames, places, strict=True)]),
        _padded([place[f.creases] for f, place in zip(frames, places, strict=True)]),
        repeats,
    )


def _united(
    frames: Sequence[Picture], repeats: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """All atoms of any frame: (M,) sources and (M, 3) shifts, and the place of each frame's."""
    rows = [np.column_stack([frame.source, frame.shift]) for frame in frames]
    every, inverse = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    home = ((every[:, 1:] >= 0) & (every[:, 1:] < np.array(repeats))).all(1)
    # first the cells, atom by atom, then the images
    order = np.lexsort((every[:, 0], every[:, 3], every[:, 2], every[:, 1], ~home))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    cuts = np.cumsum([len(row) for row in rows])[:-1]
    return every[order, 0], every[order, 1:], np.split(rank[inverse.ravel()], cuts)


def _bonds(
    frames: Sequence[Picture], places: Sequence[np.ndarray], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (K, 2) bonded at any frame, and whether they are (T, K)."""
    found = []
    for frame, place in zip(frames, places, strict=True):
        one, other = np.sort(place[frame.bonds], axis=1).T
        found.append(np.unique(one * size + other))
    keys = np.unique(np.concatenate(found))
    bonded = np.stack([np.isin(keys, here) for here in found])
    return np.stack(np.divmod(keys, size), axis=-1), bonded


def _padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """(T, longest, ...) int32, with -1 behind the shorter."""
    padded = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), NOBODY, dtype=np.int32)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded


def _there(places: np.ndarray) -> np.ndarray:
    """Drop the rows that a frame does not have."""
    return places[places.reshape(len(places), -1)[:, :1].ravel() >= 0] if len(places) else places


def _checked(supercell: Sequence[int], atoms: int) -> tuple[int, int, int]:
    """The supercell, if a crystal of this many atoms can be drawn in it."""
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
