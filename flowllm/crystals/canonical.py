"""One crystal, one text: the canonical setting of a Niggli-reduced cell.

Niggli reduction fixes the cell, but not the axes of a cell with equal lengths or right angles, nor
the origin. The same prototype is then written in many ways, and a language model has to learn each
of them. Here the remaining choices are made by rule:

1. Axes: every proper change of basis that leaves the written cell (lengths to 0.1 Å, angles to 1°)
   as it is.
2. Origin: an inversion centre where the crystal has one, so that atoms come in pairs x and -x;
   else an atom of the rarest element.
3. Of all these settings, the one whose coordinates, rounded to two decimals, sorted inside each
   element and read from the first atom to the last, come first in lexicographic order.

The crystal itself is unchanged: proper rotations, translations and relabelling only.
"""

from __future__ import annotations

import itertools

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters, wrap
from flowllm.crystals.elements import RANK_OF, SYMBOLS

COORD_STEPS = 100  # two decimals
FENCE, OFF = 3e-3, 5e-4  # of a step
SYMPREC = 0.1  # Å, the tolerance with which the data's space groups were found


# Rows of basis changes between reduced cells have entries -1, 0, 1.
_ROWS = np.array([row for row in itertools.product((-1, 0, 1), repeat=3) if any(row)])
_HALVES = np.array(list(itertools.product((0.0, 0.5), repeat=3)))


def same_cell_changes(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(K, 3, 3) int: proper basis changes (rows are new vectors) that keep the written cell.

    Args:
        lengths: (3,) in Å.
        angles: (3,) in degrees.
    """
    cos = np.cos(np.radians(angles))
    a, b, c = lengths
    metric = np.array(
        [
            [a * a, a * b * cos[2], a * c * cos[1]],
            [a * b * cos[2], b * b, b * c * cos[0]],
            [a * c * cos[1], b * c * cos[0], c * c],
        ]
    )
    # half a step of the written text: 0.05 Å and 0.5 degrees
    row_lengths = np.sqrt(np.einsum("ki,ij,kj->k", _ROWS, metric, _ROWS))
    choices = [_ROWS[np.abs(row_lengths - length) < 0.05] for length in lengths]
    grid = np.meshgrid(*(np.arange(len(rows)) for rows in choices), indexing="ij")
    changes = np.stack([rows[index.ravel()] for rows, index in zip(choices, grid, strict=True)], 1)
    changes = changes[np.round(np.linalg.det(changes)) == 1]
    changed = changes @ metric @ changes.transpose(0, 2, 1)
    new_lengths = np.sqrt(np.einsum("kii->ki", changed))
    pairs = [(1, 2), (0, 2), (0, 1)]
    cosines = [changed[:, i, j] / (new_lengths[:, i] * new_lengths[:, j]) for i, j in pairs]
    new_angles = np.degrees(np.arccos(np.clip(np.stack(cosines, 1), -1, 1)))
    return changes[(np.abs(new_angles - angles) < 0.5).all(1)]


def inversion_centres(lattice: np.ndarray, ranks: np.ndarray, frac: np.ndarray) -> np.ndarray:
    """(K, 3) fractional inversion centres; none where there are none.

    An inversion maps the first atom of the rarest element onto one of its kind, which leaves few
    to try; each is one if every atom then lies within `SYMPREC` of an atom of its own element.
    """
    kinds, counts = np.unique(ranks, return_counts=True)
    rarest = frac[ranks == kinds[np.argmin(counts)]]
    doubled = rarest[0] + rarest  # x -> doubled - x
    gaps = doubled[:, None, None] - frac[None, :, None] - frac[None, None, :]
    gaps -= np.round(gaps)
    squared = ((gaps @ lattice) ** 2).sum(-1)
    squared[:, ranks[:, None] != ranks[None, :]] = np.inf
    partners = squared.argmin(-1)
    found = np.take_along_axis(squared, partners[..., None], -1)[..., 0].max(-1) < SYMPREC**2
    # the mean over all pairs: the same centre whichever atom it was found from
    misses = np.take_along_axis(gaps, partners[..., None, None], 2)[:, :, 0].mean(1)
    return ((doubled - misses)[found][:, None] / 2 + _HALVES).reshape(-1, 3)


def text_steps(frac: np.ndarray) -> np.ndarray:
    """Coordinates in steps of the text, 0 to 99, int64 of the same shape."""
    return np.round(frac * COORD_STEPS).astype(np.int64) % COORD_STEPS


def off_the_fence(frac: np.ndarray) -> np.ndarray:
    """Coordinates in [0, 1), none so close to a rounding boundary that noise decides its text.

    Special positions such as 1/8 lie right on one. Whatever lies within 3e-5 of a boundary is set
    5e-6 off it, towards the middle of the cell, so that x and -x stay opposite; that moves an atom
    by less than a thousandth of an Å. What was set so is found again in any other setting, since
    sums and differences of 5e-6 stay below 3e-5.
    """
    frac = wrap(frac)
    scaled = frac * COORD_STEPS
    boundary = np.floor(scaled) + 0.5
    near = np.abs(scaled - boundary) < FENCE
    inwards = np.where(boundary < COORD_STEPS / 2, OFF, -OFF)
    return np.where(near, (boundary + inwards) / COORD_STEPS, frac)


def canonical_setting(
    lattice: np.ndarray,
    lengths: np.ndarray,
    angles: np.ndarray,
    ranks: np.ndarray,
    frac: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The basis change, the coordinates and the order of the atoms in the canonical setting.

    Args:
        lattice: (3, 3) in Å, rows are vectors; Niggli-reduced.
        lengths: (3,) of that lattice, in Å.
        angles: (3,) of that lattice, in degrees.
        ranks: (n,) int, the elements' places in the order of the text.
        frac: (n, 3) fractional coordinates.

    Returns:
        (3, 3) int basis change, (n, 3) coordinates in [0, 1), (n,) order; coordinates are already
        in that order.
    """
    origins = inversion_centres(lattice, ranks, frac)
    if not len(origins):
        kinds, counts = np.unique(ranks, return_counts=True)
        origins = frac[ranks == kinds[np.argmin(counts)]]
    changes = same_cell_changes(lengths, angles)
    # x' = x U^-1 for new vectors U L
    inverses = np.round(np.linalg.inv(changes))
    moved = np.einsum("oni,kij->oknj", frac[None] - origins[:, None], inverses)
    moved = off_the_fence(moved.reshape(-1, len(ranks), 3))
    steps = text_steps(moved)
    keys = ranks
    for axis in range(3):
        keys = keys * COORD_STEPS + steps[..., axis]
    best = np.lexsort(np.sort(keys, axis=1).T[::-1])[0]
    order = np.lexsort((*steps[best].T[::-1], ranks))
    return changes[best % len(changes)], moved[best][order], order


def order_and_set(crystal: CrystalBatch, canonical: bool) -> CrystalBatch:
    """One crystal with its atoms in text order, in the canonical setting if requested."""
    ranks = ranks_of(crystal.atomic_numbers)
    frac, lattice = crystal.frac_coords, crystal.lattices[0]
    if canonical:
        change, frac, order = canonical_setting(
            lattice, crystal.lengths[0], crystal.angles[0], ranks, frac
        )
        lengths, angles = cell_parameters(change @ lattice)
        return crystal.replace(
            atomic_numbers=crystal.atomic_numbers[order],
            frac_coords=frac,
            lengths=lengths[None],
            angles=angles[None],
        )
    steps = text_steps(frac)
    order = np.lexsort((*steps.T[::-1], ranks))
    return crystal.replace(atomic_numbers=crystal.atomic_numbers[order], frac_coords=frac[order])


def ranks_of(atomic_numbers: np.ndarray) -> np.ndarray:
    """(N,) int64: the elements' places in the order of the text."""
    return np.array([RANK_OF[SYMBOLS[number]] for number in atomic_numbers], dtype=np.int64)
