"""Which atoms, bonds and polyhedra of one crystal are drawn, as places in its lattice.

The atoms of the cell, and of its faces, edges and corners; around the cations among them the anions
that complete their shells, also outside of the cell; around the atoms of the cell itself the atoms
to which they are bonded otherwise, but for metals, whose many neighbours would hide everything.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.distances import cell_heights
from flowllm.viz.bonds import find_bonds
from flowllm.viz.polyhedra import find_polyhedra

BOUNDARY = 0.3  # Å; an atom this near to a face is drawn on the opposite face too
SHIFTS = np.array(list(itertools.product((0, 1, -1), repeat=3)))


@dataclass(frozen=True)
class Picture:
    """The elements of a drawing, without their geometry.

    Attributes:
        source: (M,) int64, the atom of the crystal that each one is or repeats.
        shift: (M, 3) int64, whole cells along a, b and c from that atom.
        bonds: (K, 2) int64, pairs of drawn atoms.
        triangles: (F, 3) int64, drawn atoms at the corners of polyhedra, counter-clockwise.
        middles: (F,) int64, the cation of each triangle.
        creases: (L, 2) int64, pairs of drawn atoms at the ends of an edge of a polyhedron.
    """

    source: np.ndarray
    shift: np.ndarray
    bonds: np.ndarray
    triangles: np.ndarray
    middles: np.ndarray
    creases: np.ndarray


def boundary(lattices: np.ndarray) -> np.ndarray:
    """(B, 3) fractions of cells (B, 3, 3) within which an atom lies on a face."""
    return np.minimum(BOUNDARY / cell_heights(lattices), 0.15)


def picture_of(
    lattice: np.ndarray,
    frac_coords: np.ndarray,
    numbers: np.ndarray,
    repeats: Sequence[int] = (1, 1, 1),
) -> Picture:
    """The drawing of one crystal.

    Args:
        lattice: (3, 3) Å, rows a, b, c.
        frac_coords: (N, 3), from 0 to 1.
        numbers: (N,) atomic numbers.
        repeats: of the cell along a, b and c.

    Raises:
        InputError: the cell has zero volume.
    """
    source, shift, home = _of_cells(lattice, frac_coords, repeats)
    bonds = find_bonds(lattice, frac_coords, numbers)
    begin = np.searchsorted(bonds.start, np.arange(len(numbers) + 1))
    counts = (begin[1:] - begin[:-1])[source]
    first = np.cumsum(counts) - counts
    at = np.repeat(np.arange(len(source)), counts)  # the drawn atom where each drawn bond starts
    along = np.arange(counts.sum()) - first[at] + begin[source[at]]
    reached = np.column_stack([bonds.stop[along], shift[at] + bonds.shift[along]])
    grows = bonds.shell[along] | (home[at] & ~bonds.metallic[along])
    atoms = np.column_stack([source, shift])
    every, ends = _places(atoms, reached, grows)
    drawn = ends >= 0
    pairs = np.sort(np.column_stack([at, ends])[drawn], axis=1)
    triangles, middles, creases = [], [], []
    for body in find_polyhedra(lattice, frac_coords, bonds):
        for place in np.flatnonzero(source == body.centre):
            corners = ends[first[place] + body.bonds - begin[body.centre]]
            triangles.append(corners[body.triangles])
            middles.append(np.full(len(body.triangles), place))
            creases.append(corners[body.edges])
    return Picture(
        every[:, 0],
        every[:, 1:],
        np.unique(pairs, axis=0),
        np.concatenate([np.zeros((0, 3), dtype=np.int64), *triangles]),
        np.concatenate([np.zeros(0, dtype=np.int64), *middles]),
        np.unique(np.concatenate([np.zeros((0, 2), dtype=np.int64), *creases]), axis=0),
    )


def _of_cells(
    lattice: np.ndarray, frac_coords: np.ndarray, repeats: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M,) sources, (M, 3) shifts and (M,) whether each lies in a cell itself, not on a face."""
    sizes = np.array(repeats)
    cells = np.array(list(itertools.product(*map(range, repeats))))
    copies = (frac_coords + cells[:, None]) / sizes  # (C, N, 3) in units of the repeated cell
    near = boundary(lattice[None])[0] / sizes
    # an atom at 0.99 lies on the face at 0 as well as one at 0.01 lies on the face at 1
    reaches = np.stack([np.ones_like(copies, dtype=bool), copies < near, copies > 1 - near])
    wanted = np.ones((*copies.shape[:2], len(SHIFTS)), dtype=bool)
    for axis in range(3):
        wanted &= np.moveaxis(reaches[SHIFTS[:, axis], :, :, axis], 0, -1)
    cell, atom, image = np.nonzero(wanted)
    return atom, cells[cell] + SHIFTS[image] * sizes, image == 0


def _places(
    atoms: np.ndarray, reached: np.ndarray, grows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms (M, 4) with those that bonds add, and the place of each bond's end or -1."""
    places = {key: place for place, key in enumerate(map(tuple, atoms.tolist()))}
    added = []
    ends = np.full(len(reached), -1, dtype=np.int64)
    for row, (key, adds) in enumerate(
        zip(map(tuple, reached.tolist()), grows.tolist(), strict=True)
    ):
        if adds and key not in places:
            places[key] = len(places)
            added.append(key)
        ends[row] = places.get(key, -1)
    return np.concatenate([atoms, np.array(added, dtype=np.int64).reshape(-1, 4)]), ends
