"""The symmetry operations of an exactly symmetric primitive cell.

For such crystals this takes a fraction of spglib's time. Where a tolerance matters, because a
candidate is neither exact nor clearly wrong, nothing is said, and spglib has to decide.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch

SHORT = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=float)
"""(27, 3) vectors among which, in a reduced cell, the images of the axes are."""
EXACT, WRONG = 0.1, 3.0
"""Of the tolerance: what deviates by less is symmetric, what deviates by more is not."""


REDUCED = 1e-6  # by which share a squared length may be off


@dataclass(frozen=True)
class Operations:
    """The k operations of a primitive cell, x' = W x + t, the order that of W.

    Attributes:
        rotations: (k, 3, 3) whole numbers W in terms of the cell's own vectors.
        translations: (k, 3) t in [-1/2, 1/2].
        images: (k, n) the atom on which each atom is put.
    """

    rotations: np.ndarray
    translations: np.ndarray
    images: np.ndarray


def exact_operations(crystal: CrystalBatch, tolerance: float) -> Operations | None:
    """The operations of a crystal; None if the tolerance matters or the cell is not primitive.

    Args:
        crystal: a batch of one; in other than reduced cells nothing is found.
        tolerance: in Å.
    """
    lattice = crystal.lattices[0]
    metric = lattice @ lattice.T
    if not _is_reduced(metric):
        return None
    turns = _turns(metric, tolerance)
    if turns is None:
        return None
    numbers, coords = crystal.atomic_numbers, crystal.frac_coords
    kinds, counts = np.unique(numbers, return_counts=True)
    rarest = np.flatnonzero(numbers == kinds[counts.argmin()])
    turned = coords @ turns.transpose(0, 2, 1)  # (k, n, 3)
    shifts = coords[rarest] - turned[:, rarest[:1]]  # (k, r, 3), one of which is t
    which, place = np.indices(shifts.shape[:2]).reshape(2, -1)
    for atom in {0, len(numbers) - 1}:  # refuses most of them
        away = _distances(turned[which, atom] + shifts[which, place], coords, metric)
        away[:, numbers != numbers[atom]] = np.inf
        kept = away.min(1) <= WRONG * tolerance
        which, place = which[kept], place[kept]
    moved = turned[which] + shifts[which, place][:, None]
    away = _distances(moved.reshape(-1, 3), coords, metric).reshape(len(which), len(numbers), -1)
    away[:, numbers[:, None] != numbers] = np.inf
    furthest = away.min(-1).max(-1)
    right = furthest <= EXACT * tolerance
    which, place, images = which[right], place[right], away.argmin(-1)[right]
    if ((furthest <= WRONG * tolerance) & ~right).any() or len(np.unique(which)) < len(which):
        return None
    if (np.sort(images) != np.arange(len(numbers))).any():
        return None
    gaps = coords[images] - turned[which] - shifts[which, place][:, None]
    translations = shifts[which, place] + (gaps - np.round(gaps)).mean(1)
    return Operations(turns[which], translations - np.round(translations), images)


def _is_reduced(metric: np.ndarray) -> bool:
    """Whether no short combination with shorter axes shortens one (Minkowski's conditions)."""
    order = np.argsort(np.diag(metric), kind="stable")
    combinations = np.zeros_like(SHORT)
    combinations[:, order] = SHORT
    squared = ((combinations @ metric) * combinations).sum(-1)
    for place, axis in enumerate(order.tolist()):
        own = (SHORT[:, place] != 0) & (SHORT[:, place + 1 :] == 0).all(1)
        if squared[own].min() < metric[axis, axis] * (1 - REDUCED):
            return False
    return True


def _turns(metric: np.ndarray, tolerance: float) -> np.ndarray | None:
    """(k, 3, 3) integer matrices that preserve the metric; None if one nearly does."""
    products = SHORT @ metric @ SHORT.T
    lengths = np.sqrt(np.diag(metric))
    axes = []
    for axis in range(3):
        off = np.abs(np.sqrt(np.maximum(np.diag(products), 0)) - lengths[axis])
        axes.append(np.flatnonzero(off <= WRONG * tolerance))
    found = np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).T
    # how far the ends of unit vectors, three of which make up the cell, are off
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    off = np.max([
        np.abs(products[found[:, i], found[:, j]] - metric[i, j]) / min(lengths[i], lengths[j])
        for i, j in pairs
    ], axis=0)  # fmt: skip
    right = off <= EXACT * tolerance
    if ((off <= WRONG * tolerance) & ~right).any():
        return None
    return SHORT[found[right]].transpose(0, 2, 1)


def _distances(points: np.ndarray, coords: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """(N, n) Å between fractional points (N, 3) and atoms (n, 3), exact if short."""
    gaps = points[:, None] - coords
    gaps -= np.round(gaps)
    return np.sqrt(np.maximum(((gaps @ metric) * gaps).sum(-1), 0))
