"""The faces of every atom's Voronoi cell, by polar duality.

A Voronoi cell is the intersection of half-spaces x · d ≤ |d|²/2, one per neighbour at d. The dual
of that polytope is the convex hull of the inverted points 2 d / |d|²: its corners are the
neighbours with a face, its facets the corners of the cell. One hull of the 90 or so neighbours of
an atom costs a ninth of the tessellation of the same points, which also builds all other cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError

SEARCH_RADIUS = 7.0  # Å; CrystalNN's `search_cutoff`
SAME_PLACE = 1e-6  # Å
MAX_NEIGHBOURS = 500_000  # of all atoms together; a gap of 1,000 Å would fill the memory


@dataclass(frozen=True)
class VoronoiFaces:
    """The F faces of several cells, those of each cell contiguous.

    Attributes:
        cell: (F,) int64, the atom inside the cell.
        neighbour: (F,) int64, the atom behind the face, counted as in the crystal.
        vectors: (F, 3) from the one atom to the other in Å.
        areas: (F,) in Å^2.
        solid_angles: (F,) in steradians, as seen from the atom; those of one cell add up to 4π.
    """

    cell: np.ndarray
    neighbour: np.ndarray
    vectors: np.ndarray
    areas: np.ndarray
    solid_angles: np.ndarray


def voronoi_faces(crystal: CrystalBatch, radius: float = SEARCH_RADIUS) -> VoronoiFaces:
    """The Voronoi cells of all atoms of one crystal, each among the atoms within a radius.

    As in pymatgen's VoronoiNN the radius of an atom whose cell stays open is doubled, up to the
    longest diagonal of the crystal's cell.

    Args:
        crystal: a batch of one crystal.
        radius: Å; a face of an atom beyond it is not found.

    Raises:
        InputError: atoms in the same place, or a cell that stays open or has too many neighbours.
    """
    lattice = crystal.lattices[0]
    per_volume = len(crystal.atomic_numbers) / crystal.volumes[0]
    diagonals = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]) @ lattice
    longest = float(np.linalg.norm(diagonals, axis=-1).max()) + 0.01
    waiting: np.ndarray = np.arange(len(crystal.atomic_numbers))
    hulls = []
    while len(waiting):
        if len(waiting) * per_volume * 4 / 3 * np.pi * radius**3 > MAX_NEIGHBOURS:
            raise InputError(f"too many neighbours within {radius:.0f} Å")
        still_open = []
        for site, atoms, vectors in _neighbours(crystal, waiting, radius):
            hull = _closed_hull(vectors)
            if hull is None:
                still_open.append(site)
            else:
                hulls.append((site, atoms, vectors, *hull))
        if still_open and radius >= longest:
            raise InputError(f"the Voronoi cell of atom {still_open[0]} is not closed")
        waiting, radius = np.array(still_open, dtype=np.int64), min(2 * radius, longest + 0.001)
    return _faces_of(sorted(hulls, key=lambda row: row[0]))


def _neighbours(
    crystal: CrystalBatch, sites: np.ndarray, radius: float
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """(site, atoms (M,), vectors (M, 3)) for each site: all atoms within the radius."""
    structure = crystal.to_pymatgen()[0]
    centres, atoms, images, distances = structure.get_neighbor_list(
        radius, [structure[int(site)] for site in sites], exclude_self=False
    )
    others = (atoms != sites[centres]) | (distances > SAME_PLACE)
    centres, atoms, images, distances = (
        column[others] for column in (centres, atoms, images, distances)
    )
    if len(distances) and distances.min() < SAME_PLACE:
        raise InputError("two atoms are in the same place")
    delta = crystal.frac_coords[atoms] + images - crystal.frac_coords[sites[centres]]
    vectors = delta @ crystal.lattices[0]
    order = np.argsort(centres, kind="stable")
    ends = np.cumsum(np.bincount(centres, minlength=len(sites)))[:-1]
    return list(
        zip(
            sites.tolist(),
            np.split(atoms[order].astype(np.int64), ends),
            np.split(vectors[order], ends),
            strict=True,
        )
    )


def _closed_hull(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Facets (S, 3), the facets across their edges (S, 3) and their planes (S, 4) of the dual hull.

    Corners go round counterclockwise seen from outside. None where the Voronoi cell is open, which
    is when the centre does not lie inside of the hull.
    """
    from scipy.spatial import ConvexHull, QhullError

    if len(vectors) < 4:
        return None
    try:
        hull = ConvexHull(2 * vectors / (vectors**2).sum(-1, keepdims=True))
    except QhullError:  # all neighbours in one plane
        return None
    if hull.equations[:, 3].max() > -1e-12:
        return None
    facets, across = hull.simplices.astype(np.int64), hull.neighbors.astype(np.int64)
    corners = vectors[facets]
    inward = np.einsum("si,si->s", np.cross(corners[:, 0], corners[:, 1]), corners[:, 2]) < 0
    facets[inward], across[inward] = facets[inward][:, [0, 2, 1]], across[inward][:, [0, 2, 1]]
    return facets, across, hull.equations


def _faces_of(hulls: list[tuple]) -> VoronoiFaces:
    """Areas and solid angles of all faces at once, summed over the triangles that make them up.

    Facet (a, b, c) of the hull is a corner of the cell; around neighbour a the next corner is the
    facet across the edge (a, c). With the foot of the perpendicular, or the atom, the two corners
    span a triangle that counts negative where the foot lies outside of the face.
    """
    cells, atoms, vectors, facets, across, planes = zip(*hulls, strict=True)
    first_point = np.cumsum([0, *map(len, vectors)])
    first_facet = np.cumsum([0, *map(len, facets)])
    corner_of = np.concatenate([f + s for f, s in zip(facets, first_point[:-1], strict=True)])
    next_facet = np.concatenate([a + s for a, s in zip(across, first_facet[:-1], strict=True)])
    points, plane = np.concatenate(vectors), np.concatenate(planes)
    corners = plane[:, :3] / -plane[:, 3:]
    neighbour = corner_of.ravel()
    here = np.repeat(np.arange(len(corner_of)), 3)
    there = next_facet[:, [1, 2, 0]].ravel()
    lengths = np.linalg.norm(points, axis=-1)
    normal = points[neighbour] / lengths[neighbour, None]
    foot = points[neighbour] / 2
    one, two = corners[here], corners[there]
    doubled = _triple(normal, one - foot, two - foot)
    one /= np.linalg.norm(one, axis=-1, keepdims=True)
    two /= np.linalg.norm(two, axis=-1, keepdims=True)
    # van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30, 125 (1983), for unit vectors
    cosines = (normal * one).sum(-1) + (one * two).sum(-1) + (two * normal).sum(-1)
    angles = 2 * np.arctan2(_triple(normal, one, two), 1 + cosines)
    areas = np.bincount(neighbour, doubled / 2, minlength=len(points))
    solid_angles = np.bincount(neighbour, angles, minlength=len(points))
    faces = np.flatnonzero((areas > 0) & (solid_angles > 0))
    cell = np.repeat(cells, np.diff(first_point))
    return VoronoiFaces(
        cell[faces], np.concatenate(atoms)[faces], points[faces], areas[faces], solid_angles[faces]
    )


def _triple(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(n,) triple products a · (b × c) of vectors (n, 3)."""
    return np.einsum("ni,ni->n", a, np.cross(b, c))
