"""Coordination polyhedra: the convex hull of a cation's anions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.viz.bonds import CrystalBonds

FEWEST, MOST = 4, 12  # corners
INSIDE = 0.05  # Å; a cation nearer to a face than this sticks out of its anions
FLAT = 0.995  # cosine between two triangles of one face


@dataclass(frozen=True)
class Polyhedron:
    """The polyhedron of one cation.

    Attributes:
        centre: the cation.
        bonds: (C,) int64, its bonds, one for each corner.
        triangles: (F, 3) int64, corners, counter-clockwise as seen from outside.
        edges: (E, 2) int64, pairs of corners between two faces; none inside a face.
    """

    centre: int
    bonds: np.ndarray
    triangles: np.ndarray
    edges: np.ndarray


def find_polyhedra(
    lattice: np.ndarray, frac_coords: np.ndarray, bonds: CrystalBonds
) -> list[Polyhedron]:
    """The polyhedra of one crystal: of cations with 4 to 12 anions that enclose them.

    Args:
        lattice: (3, 3) Å, rows a, b, c.
        frac_coords: (N, 3).
        bonds: as `find_bonds` gives them for it.
    """
    found = []
    for centre in np.unique(bonds.start[bonds.shell]):
        mine = np.flatnonzero((bonds.start == centre) & bonds.shell)
        if FEWEST <= len(mine) <= MOST:
            ends = frac_coords[bonds.stop[mine]] + bonds.shift[mine] - frac_coords[centre]
            hull = enclosing(ends @ lattice)
            if hull is not None:
                found.append(Polyhedron(int(centre), mine, *hull))
    return found


def enclosing(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Triangles (F, 3) and edges (E, 2) of the hull of corners (C, 3) about the origin, in Å.

    None if the origin is not inside, or corners lie in a plane.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(corners)
    except QhullError:
        return None
    if (hull.equations[:, 3] > -INSIDE).any():
        return None
    triangles, normals = hull.simplices.astype(np.int64), hull.equations[:, :3]
    a, b, c = (corners[triangles[:, k]] for k in range(3))
    inward = (np.cross(b - a, c - a) * normals).sum(1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    # neighbour k of a triangle lies opposite to its corner k
    one = np.repeat(np.arange(len(triangles)), 3)
    other = hull.neighbors.ravel()
    sharp = ((normals[one] * normals[other]).sum(1) < FLAT) & (one < other)
    pairs = np.stack([np.delete(row, k) for row in hull.simplices for k in range(3)])
    return triangles, pairs[sharp].astype(np.int64)
