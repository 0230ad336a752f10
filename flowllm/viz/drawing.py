"""The drawing of one crystal, as plain arrays that can be tested without a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drawing:
    """The drawing of one crystal.

    Attributes:
        positions: (M, 3) Å, atoms of the cell, their repetitions on faces, edges and corners, and
            those outside that complete the shells of cations.
        numbers: (M,) int64 atomic numbers.
        source: (M,) int64, the atom of the crystal that each one is or repeats.
        bonds: (K, 2) int64, pairs of drawn atoms.
        edges: (E, 2, 3) Å, the edges of the cell, 12 for one.
        triangles: (F, 3) int64, atoms at the corners of coordination polyhedra, counter-clockwise
            as seen from outside.
        middles: (F,) int64, the cation in the middle of the polyhedron of each triangle.
        creases: (L, 2) int64, pairs of atoms that an edge of a polyhedron joins.
        colours: {atomic number: colour} of all elements that are seen together.
    """

    positions: np.ndarray
    numbers: np.ndarray
    source: np.ndarray
    bonds: np.ndarray
    edges: np.ndarray
    triangles: np.ndarray
    middles: np.ndarray
    creases: np.ndarray
    colours: Mapping[int, str]
