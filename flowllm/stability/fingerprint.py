"""A fingerprint of a crystal that does not depend on how its cell is written.

For each ordered pair of elements (A, B): the distances from an atom A to its 1st, 2nd, … k-th
nearest atom B, periodic images included, averaged over the atoms A, over (V/n)^(1/3). These are the
average minimum distances of Widdowson et al. (MATCH 87, 529 (2022)), taken by elements. They are
invariant under a change of cell, origin and order, and continuous in the atoms' positions.
"""

from __future__ import annotations

import itertools

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import cell_heights, safe_lattices

NEIGHBOURS = 6
CUTOFF = 4.0  # over (V/n)^(1/3); longer distances count as this
MAX_IMAGES = 4_000  # more cells than this: reduce the cell first
CHUNK = 2_000_000  # distances held in memory at a time


def fingerprints(
    crystals: CrystalBatch, neighbours: int = NEIGHBOURS, cutoff: float = CUTOFF
) -> list[np.ndarray | None]:
    """Average distances to the nearest neighbours, by ordered pair of elements.

    Args:
        crystals: B crystals.
        neighbours: k, how many neighbours of each element.
        cutoff: the longest distance over (V/n)^(1/3); longer ones count as this.

    Returns:
        Per crystal (e * e, k) float64 for its e elements in the order of their numbers, rows
        (A, B) with B running fastest; None where the cell spans no volume, is too thin to be
        looked at, or holds no atoms or an open type.
    """
    lattices, heights = safe_lattices(crystals)
    result: list[np.ndarray | None] = []
    for index, (start, count) in enumerate(zip(crystals.offsets, crystals.num_atoms, strict=True)):
        atoms = slice(start, start + count)
        numbers, coords = crystals.atomic_numbers[atoms], crystals.frac_coords[atoms]
        lattice = lattices[index]
        if not count or (numbers < 1).any() or heights[index].min() <= 0:
            result.append(None)
            continue
        reach = cutoff * (np.abs(np.linalg.det(lattice)) / count) ** (1 / 3)
        if _images(heights[index], reach) > MAX_IMAGES:
            lattice, coords = _reduced_cell(lattice, coords)
            if _images(cell_heights(lattice[None])[0], reach) > MAX_IMAGES:
                result.append(None)
                continue
        result.append(_average_distances(numbers, coords, lattice, neighbours, reach) * cutoff)
    return result


def _images(heights: np.ndarray, reach: float) -> float:
    if heights.min() <= 0:
        return np.inf
    return float(np.prod(2 * np.floor(reach / heights + 0.5 + 1e-9) + 1))


def _reduced_cell(lattice: np.ndarray, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same crystal in its LLL-reduced cell."""
    from pymatgen.core import Lattice

    smaller = Lattice(lattice).get_lll_reduced_lattice()
    return smaller.matrix, smaller.get_fractional_coords(coords @ lattice)


def _average_distances(
    numbers: np.ndarray, coords: np.ndarray, lattice: np.ndarray, neighbours: int, reach: float
) -> np.ndarray:
    """(e * e, k) distances over `reach`, at most 1, of one crystal of n atoms."""
    heights = cell_heights(lattice[None])[0]
    ranges = np.floor(reach / heights + 0.5 + 1e-9).astype(np.int64)
    images = np.array(list(itertools.product(*(range(-r, r + 1) for r in ranges))), dtype=float)
    shifts = images @ lattice
    kinds = np.unique(numbers)
    columns = [np.flatnonzero(numbers == kind) for kind in kinds]
    nearest = np.ones((len(numbers), len(kinds), neighbours))
    # atoms at a time, so that a large cell does not fill the memory
    step = max(1, CHUNK // (len(numbers) * len(shifts)))
    for start in range(0, len(numbers), step):
        delta = coords[None, :] - coords[start : start + step, None]
        delta -= np.round(delta)
        vectors = (delta @ lattice)[:, :, None, :] + shifts
        squared = np.einsum("ijsx,ijsx->ijs", vectors, vectors)
        here = np.arange(len(delta))
        squared[here, here + start, len(shifts) // 2] = np.inf  # an atom and itself
        for kind, column in enumerate(columns):
            found = squared[:, column].reshape(len(delta), -1)
            count = min(neighbours, found.shape[1])
            found = np.sort(np.partition(found, count - 1, axis=1)[:, :count], axis=1)
            scaled = np.minimum(np.sqrt(found) / reach, 1.0)
            nearest[start : start + step, kind, :count] = scaled
    means = [nearest[column].mean(0) for column in columns]
    return np.concatenate(means).reshape(len(kinds) ** 2, neighbours)
