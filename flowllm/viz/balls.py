"""The balls that stand for atoms: their radii and their shape."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np

SPHERE = 0.42  # radius of a drawn atom over its covalent radius
OPEN_RADIUS = 1.0  # Å; in place of the covalent radius of an atom whose species is open
HALVINGS = 2  # of the icosahedron's edges: 162 points a ball


def ball_radii(numbers: np.ndarray) -> np.ndarray:
    """Å, radii of the drawn balls of atomic numbers, in their shape."""
    from ase.data import covalent_radii

    return SPHERE * np.where(numbers > 0, covalent_radii[numbers], OPEN_RADIUS)


@lru_cache(maxsize=1)
def unit_sphere() -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3) on the unit sphere, a subdivided icosahedron, and faces (F, 3).

    Faces run counter-clockwise as seen from outside.
    """
    golden = (1 + 5**0.5) / 2
    ring = [(0.0, s, t * golden) for s in (-1, 1) for t in (-1, 1)]
    points = [np.roll(p, k) / np.hypot(1, golden) for k in range(3) for p in ring]
    gaps = np.linalg.norm(np.array(points)[:, None] - points, axis=-1)
    near = gaps < 1.1 * gaps[gaps > 0].min()
    faces = []
    for a, b, c in itertools.combinations(range(len(points)), 3):
        if near[a, b] and near[b, c] and near[c, a]:
            outward = np.linalg.det([points[a], points[b], points[c]]) > 0
            faces.append((a, b, c) if outward else (a, c, b))
    for _ in range(HALVINGS):
        middles: dict[tuple[int, int], int] = {}
        smaller = []
        for face in faces:
            inner = []
            for one, other in zip(face, (*face[1:], face[0]), strict=True):
                edge = (min(one, other), max(one, other))
                if edge not in middles:
                    middle = points[one] + points[other]
                    middles[edge] = len(points)
                    points.append(middle / np.linalg.norm(middle))
                inner.append(middles[edge])
            ab, bc, ca = inner
            a, b, c = face
            smaller += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = smaller
    return np.array(points), np.array(faces)
