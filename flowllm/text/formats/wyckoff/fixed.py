"""Contacts of the orbits without free coordinates, in a cell still undetermined.

Such atoms lie at the same fractions of every cell, so their differences are found once for a space
group, its letters and elements. Squared distances are linear in the metric of the cell.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from flowllm.symmetry.space_group import space_group
from flowllm.text.formats.wyckoff.contacts import STEPS, corners_of, images_of, squared_allowed

PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Of axes: the order of the terms of a metric."""
SAME = 9  # decimals by which two contacts are the same one

Orbits = tuple[tuple[int, str], ...]
"""((atomic number, letter), …)."""


def metrics_of(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(6, C) terms a², b², c², bc cos α, ac cos β, ab cos γ of C cells.

    Args:
        lengths: (C, 3) in Å.
        angles: (C, 3) in degrees.
    """
    cosines = np.cos(np.radians(angles))
    products = lengths[:, [1, 0, 0]] * lengths[:, [2, 2, 1]]
    return np.concatenate([lengths**2, products * cosines], 1).T


def clearance_of_fixed(number: int, orbits: Orbits, metrics: np.ndarray) -> np.ndarray:
    """(C,) shortest contact over the shortest allowed; infinite without such orbits.

    Args:
        number: of the space group.
        orbits: those of positions without free coordinates.
        metrics: (6, C), as of `metrics_of`.
    """
    if not orbits:
        return np.full(metrics.shape[1], np.inf)
    squared = (_contacts(number, orbits) @ metrics).min(0)
    return np.sqrt(np.maximum(squared, 0.0))


@lru_cache(maxsize=4096)
def _contacts(number: int, orbits: Orbits) -> np.ndarray:
    """(R, 6) times a metric (6,) gives the squares of the contacts over those allowed."""
    group, allowed = space_group(number), squared_allowed()
    corners, half = corners_of(group.family)
    rows = []
    coords: np.ndarray = np.zeros((0, 3))
    numbers: np.ndarray = np.zeros(0, dtype=np.int64)
    for element, letter in orbits:
        images = images_of(number, letter, group.positions[letter].constant[None])[0]
        coords = np.concatenate([coords, images])
        numbers = np.append(numbers, [element] * len(images))
        others = np.arange(len(coords)) != len(coords) - len(images)  # all but the first of these
        gaps = images[0] - coords[others]
        near = gaps - np.floor(gaps + half) + corners[:, None]
        rows.append(_terms(near) / allowed[element, numbers[others]][:, None])
        rows.append(_terms(STEPS[None]) / allowed[element, element])
    found = np.concatenate([row.reshape(-1, len(PAIRS)) for row in rows])
    _, first = np.unique(np.round(found, SAME), axis=0, return_index=True)
    return found[np.sort(first)]


def _terms(vectors: np.ndarray) -> np.ndarray:
    """(..., 6) of fractional vectors (..., 3): times a metric (6,) their squared lengths."""
    return np.stack(
        [vectors[..., i] * vectors[..., j] * (1 if i == j else 2) for i, j in PAIRS], -1
    )
