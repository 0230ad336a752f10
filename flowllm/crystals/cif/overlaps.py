"""Overlapping atoms: the closest pair of a cell, in time nearly linear in its atoms."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np

from flowllm.crystals.cif.cell import Cell
from flowllm.crystals.cif.crystal import CifCrystal
from flowllm.errors import InputError

OVERLAP = 0.4  # Å; atoms are never closer than this (H2: 0.74 Å)
DENSE = 48  # atoms; above this pairs are looked for by a tree
MAX_PAIRS = 1_000_000  # looked at in a small cell; in a large one 50 for each atom
MAX_COPIES = 512  # of a thin cell, beside each other until it is thick enough


def closest(crystal: CifCrystal, cutoff: float = OVERLAP) -> tuple[float, int, int]:
    """The closest two atoms of a crystal, periodic images included.

    Args:
        crystal: n atoms.
        cutoff: Å; longer distances are not looked for.

    Returns:
        The distance in Å and the indices of the two atoms, equal for an atom and its own image;
        (inf, -1, -1) where no two are closer than the cutoff. Where an atom has more than 50
        others around it the pair is a close one, not always the closest.

    Raises:
        InputError: the cell is too thin to look.
    """
    a, b, c = (float(x) for x in crystal.lengths)
    alpha, beta, gamma = (float(x) for x in crystal.angles)
    return closest_pair(crystal.frac_coords, Cell((a, b, c), (alpha, beta, gamma)), cutoff)


def closest_pair(coords: np.ndarray, cell: Cell, cutoff: float = OVERLAP) -> tuple[float, int, int]:
    """The same for fractional coordinates (n, 3) in a cell."""
    if min(cell.heights) <= 2.001 * cutoff:
        return _in_thick_cell(coords, cell, cutoff)
    if len(coords) < 2:
        return math.inf, -1, -1
    if len(coords) > DENSE:
        return _by_tree(coords, cell, cutoff)
    first, second = _pairs(len(coords))
    delta = coords[first] - coords[second]
    delta -= np.rint(delta)
    squared = np.einsum("pi,pi->p", delta @ cell.metric, delta)
    place = int(squared.argmin())
    least = float(squared[place])
    if least >= cutoff**2:
        return math.inf, -1, -1
    return math.sqrt(max(0.0, least)), int(first[place]), int(second[place])


@lru_cache(maxsize=DENSE)
def _pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(size, 1)


def _in_thick_cell(coords: np.ndarray, cell: Cell, cutoff: float) -> tuple[float, int, int]:
    """The same in a supercell that is thick enough for `Cell.distances`."""
    copies = [max(1, math.ceil(2.002 * cutoff / max(height, 1e-9))) for height in cell.heights]
    times = math.prod(copies)
    if times > MAX_COPIES or times * len(coords) > 200_000:
        raise InputError(f"the cell is only {min(cell.heights):.3g} Å thick")
    shifts = np.array(list(itertools.product(*(range(k) for k in copies))), dtype=float)
    large = ((coords[None, :, :] + shifts[:, None, :]) / copies).reshape(-1, 3)
    x, y, z = (length * k for length, k in zip(cell.lengths, copies, strict=True))
    distance, i, j = closest_pair(large, Cell((x, y, z), cell.angles), cutoff)
    return distance, i % len(coords) if i >= 0 else -1, j % len(coords) if j >= 0 else -1


def _by_tree(coords: np.ndarray, cell: Cell, cutoff: float) -> tuple[float, int, int]:
    """Candidates are near along each axis: |difference| times height is at most the distance."""
    from scipy.spatial import cKDTree

    heights = np.array(cell.heights)
    tree = cKDTree((coords - np.floor(coords)) % 1.0 * heights, boxsize=heights)
    if tree.count_neighbors(tree, cutoff, p=np.inf) > max(50 * len(coords), MAX_PAIRS):
        pairs = _crowded(tree.data)
    else:
        pairs = tree.query_pairs(cutoff, p=np.inf, output_type="ndarray")
    if not len(pairs):
        return math.inf, -1, -1
    distances = cell.distances(coords[pairs[:, 0]] - coords[pairs[:, 1]])
    place = int(distances.argmin())
    if distances[place] >= cutoff:
        return math.inf, -1, -1
    return float(distances[place]), int(pairs[place, 0]), int(pairs[place, 1])


def _crowded(places: np.ndarray) -> np.ndarray:
    """(n - 1, 2) candidates where nearly all atoms overlap: neighbours in sorted order.

    Those that coincide are beside each other then; the closest of others may be missed.
    """
    order = np.lexsort(np.round(places, 4).T)
    return np.sort(np.stack([order[:-1], order[1:]], axis=1), axis=1)
