"""The primitive cell: find and divide out pure translations, then Niggli-reduce."""

from __future__ import annotations

import math

import numpy as np

NIGGLI_TOLERANCES = (1e-5, 1e-4, 1e-3)
"""spglib's tolerances, tried one after the other: noise on a special cell can defeat the first."""

FEW = 4  # atoms at either end of the list that are looked at before all the others


def primitive_cell(
    lattice: np.ndarray, kinds: np.ndarray, frac: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The smallest cell that repeats to the same crystal; merged atoms take their mean position.

    Args:
        lattice: (3, 3) in Å, rows are vectors.
        kinds: (n,) int, equal for atoms of one element.
        frac: (n, 3) fractional coordinates.
        tolerance: Å that an atom may lie off its image.

    Returns:
        (3, 3) lattice, (m,) kinds and (m, 3) coordinates, m a divisor of n; the input itself where
        it is primitive already.
    """
    while True:
        found = _cyclic_translation(lattice, kinds, frac, tolerance)
        if found is None:
            return lattice, kinds, frac
        step, order, partners = found
        # (order, n, 3): where each atom stands according to each of its images
        gaps = frac[partners] - frac - np.arange(order)[:, None, None] * step / order
        gaps -= np.round(gaps)
        basis = _lattice_basis(step, order)
        kept = np.unique(partners.min(0))
        moved = (frac + gaps.mean(0))[kept] @ np.linalg.inv(basis)
        lattice, kinds, frac = basis @ lattice, kinds[kept], moved - np.floor(moved)


def niggli_cell(lattice: np.ndarray, frac: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Niggli-reduced lattice (3, 3) and the coordinates (n, 3) in it; nothing is rotated.

    Raises:
        ValueError: the cell is degenerate.
    """
    import spglib

    for tolerance in NIGGLI_TOLERANCES:
        try:
            reduced = spglib.niggli_reduce(lattice, eps=tolerance)
        except Exception:  # newer versions of spglib raise where older ones return None
            continue
        if reduced is None:
            continue
        change = np.round(reduced @ np.linalg.inv(lattice))
        if round(np.linalg.det(change)) == 1:
            moved = frac @ np.round(np.linalg.inv(change))
            return change @ lattice, moved - np.floor(moved)
    raise ValueError("Niggli reduction failed")


def _cyclic_translation(
    lattice: np.ndarray, kinds: np.ndarray, frac: np.ndarray, tolerance: float
) -> tuple[np.ndarray, int, np.ndarray] | None:
    """A pure translation step / order, with step (3,) int, and its (order, n) images; or None."""
    names, counts = np.unique(kinds, return_counts=True)
    common = math.gcd(*counts.tolist())
    if common == 1:
        return None
    rarest = frac[kinds == names[np.argmin(counts)]]
    same = kinds[:, None] == kinds[None, :]
    for shift in rarest[1:] - rarest[0]:
        # n * n distances for one shift: a look at a few atoms refuses nearly all before
        if not _few_have_images(lattice, same, frac, shift, 2 * tolerance):
            continue
        if _images(lattice, same, frac, shift, 2 * tolerance) is None:
            continue
        for order in (m for m in range(2, common + 1) if common % m == 0):
            step = np.round(shift * order)
            if np.linalg.norm((shift - step / order) @ lattice) > tolerance:
                continue
            multiples = [
                _images(lattice, same, frac, step * j / order, tolerance) for j in range(order)
            ]
            if any(m is None for m in multiples) or math.gcd(order, *map(int, step)) != 1:
                continue
            return step.astype(np.int64), order, np.array(multiples)
    return None


def _few_have_images(
    lattice: np.ndarray, same: np.ndarray, frac: np.ndarray, shift: np.ndarray, tolerance: float
) -> bool:
    """Whether the first and last few atoms, moved by `shift`, coincide with others of a kind."""
    few = np.unique([*range(min(FEW, len(frac))), *range(max(0, len(frac) - FEW), len(frac))])
    gaps = frac[few, None] + shift - frac[None]
    gaps -= np.round(gaps)
    squared = np.where(same[few], ((gaps @ lattice) ** 2).sum(-1), np.inf)
    return bool(squared.min(1).max() <= tolerance**2)


def _images(
    lattice: np.ndarray, same: np.ndarray, frac: np.ndarray, shift: np.ndarray, tolerance: float
) -> np.ndarray | None:
    """(n,) int: the atom at each atom's position plus `shift`; None unless it is one to one."""
    gaps = frac[:, None] + shift - frac[None]
    gaps -= np.round(gaps)
    squared = np.where(same, ((gaps @ lattice) ** 2).sum(-1), np.inf)
    nearest = squared.argmin(1)
    if squared[np.arange(len(frac)), nearest].max() > tolerance**2:
        return None
    return nearest if len(np.unique(nearest)) == len(nearest) else None


def _lattice_basis(step: np.ndarray, order: int) -> np.ndarray:
    """(3, 3) basis, determinant 1 / order, of the lattice of the unit vectors and step / order."""
    rows = [list(map(int, step)), *(np.eye(3, dtype=int) * order).tolist()]
    basis = []
    for column in range(3):
        # Euclid's algorithm on the column leaves one row with an entry there
        while sum(row[column] != 0 for row in rows) > 1:
            pivot = min((r for r in rows if r[column]), key=lambda r: abs(r[column]))
            for row in rows:
                if row is not pivot:
                    quotient = row[column] // pivot[column]
                    row[:] = [x - quotient * y for x, y in zip(row, pivot, strict=True)]
        pivot = next(r for r in rows if r[column])
        rows = [r for r in rows if r is not pivot]
        basis.append([abs(pivot[column]) // pivot[column] * x for x in pivot])
    return np.array(basis) / order
