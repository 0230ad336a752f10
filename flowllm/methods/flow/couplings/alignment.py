"""Alignment of pairs: which atom of the prior's sample becomes which atom of the target.

The flow carries atom k of c0 to atom k of c1, so the pairing of atoms decides how far they travel.
A crystal does not change when atoms are renumbered or all moved by one vector; both freedoms are
used here to bring c0 as near to c1 as can be found; in list order, the prior's coordinates would
be lost. Cells are left alone.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import wrap
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError

METHODS = ("list", "hungarian", "translation")
REFINED = 8
"""Candidate translations that are improved further after the screening."""
FORBIDDEN = 1e3
"""Cost of pairing different elements; squared torus distances are at most 3/4."""


def align(c0: CrystalBatch, c1: CrystalBatch, method: str = "translation") -> CrystalBatch:
    """c0 with its atoms in the order of c1's, and moved by a common vector per crystal.

    Args:
        c0: B samples of the prior.
        c1: B targets of the same compositions.
        method: "list" pairs the k-th atom of an element with the k-th; "hungarian" minimises the
            squared torus distance within each element; "translation" also over common translations
            of c0 (candidates that put an atom of the rarest element on one of the target's, then
            assignment and mean translation in turn until stable). Never farther than "list".

    Returns:
        c0 aligned; `atomic_numbers` and `num_atoms` equal those of c1, ids and cells are c0's.

    Raises:
        InputError: sizes differ, no such method, or a composition differs; its id is named.
    """
    if method not in METHODS:
        raise InputError(f"unknown alignment {method!r}; choose from {', '.join(METHODS)}")
    if len(c0) != len(c1):
        raise InputError(f"{len(c0)} samples cannot be paired with {len(c1)} targets")
    coords = np.empty_like(c1.frac_coords)
    ends0, ends1 = np.cumsum(c0.num_atoms), np.cumsum(c1.num_atoms)
    for index, (end0, end1) in enumerate(zip(ends0, ends1, strict=True)):
        part0 = slice(end0 - c0.num_atoms[index], end0)
        part1 = slice(end1 - c1.num_atoms[index], end1)
        order0 = np.argsort(c0.atomic_numbers[part0], kind="stable")
        order1 = np.argsort(c1.atomic_numbers[part1], kind="stable")
        types = c1.atomic_numbers[part1][order1]
        if not np.array_equal(c0.atomic_numbers[part0][order0], types):
            raise InputError(
                f"{c0.ids[index]}: composition {_formula(c0.atomic_numbers[part0])} is not that of "
                f"the target {c1.ids[index]}, {_formula(types)}"
            )
        f0, f1 = c0.frac_coords[part0][order0], c1.frac_coords[part1][order1]
        if method != "list":
            assignment, shift = best_match(f0, f1, types, method == "translation")
            f0 = f0[assignment] + shift
        aligned = np.empty_like(f0)
        aligned[order1] = f0
        coords[part1] = aligned
    return c0.replace(
        atomic_numbers=c1.atomic_numbers, frac_coords=wrap(coords), num_atoms=c1.num_atoms
    )


def squared_torus_distances(c0: CrystalBatch, c1: CrystalBatch) -> np.ndarray:
    """(B,) mean over a crystal's atoms of the squared torus distance of atom k to atom k.

    In fractional units; uniform noise has 3/12 = 0.25.
    """
    squared = (torus_log(c0.frac_coords, c1.frac_coords) ** 2).sum(-1)
    sums = np.bincount(c1.crystal_of_atom, weights=squared, minlength=len(c1))
    return sums / np.maximum(c1.num_atoms, 1)


def mean_squared_torus_distance(c0: CrystalBatch, c1: CrystalBatch) -> float:
    """The mean squared torus distance per atom, over all atoms (uniform noise has 0.25)."""
    if not len(c1.frac_coords):
        return float("nan")
    return float((torus_log(c0.frac_coords, c1.frac_coords) ** 2).sum(-1).mean())


def torus_log(f0: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """The shortest path from f0 to f1 on the torus of period 1, per coordinate."""
    difference = f1 - f0
    return difference - np.round(difference)


def best_match(
    f0: np.ndarray, f1: np.ndarray, types: np.ndarray, translate: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Assignment (n,) and translation (3,) so that f0[assignment] + translation is near f1.

    Args:
        f0: (n, 3) coordinates to be moved.
        f1: (n, 3) coordinates to be reached.
        types: (n,) sorted types, the same for both.
        translate: search translations too.
    """
    different = np.where(types[:, None] == types[None, :], 0.0, FORBIDDEN)
    zero = np.zeros((1, 3))
    shifts = np.concatenate([zero, _candidates(f0, f1, types)]) if translate else zero
    # Axes: candidate, atom of f1, atom of f0.
    costs = _costs(f0, f1, shifts) + different
    if not translate:
        return linear_sum_assignment(costs[0])[1], np.zeros(3)
    bounds = np.maximum(costs.min(2).sum(1), costs.min(1).sum(1))
    found: list[tuple[float, np.ndarray, np.ndarray]] = []
    limit = np.inf
    for index in np.argsort(bounds, kind="stable"):
        # The mean translation still to come can lower the cost; its greatest gain is not known, so
        # the bound screens against the REFINED-th best cost, not against the best.
        if bounds[index] >= limit and index != 0:
            continue
        rows, assignment = linear_sum_assignment(costs[index])
        found.append((float(costs[index][rows, assignment].sum()), assignment, shifts[index]))
        if len(found) >= REFINED:
            limit = sorted(cost for cost, _, _ in found)[REFINED - 1]
    found.sort(key=lambda entry: entry[0])
    best = min(
        (_settle(f0, f1, different, *entry) for entry in found[:REFINED]), key=lambda e: e[0]
    )
    return best[1], best[2]


def _settle(
    f0: np.ndarray,
    f1: np.ndarray,
    different: np.ndarray,
    cost: float,
    assignment: np.ndarray,
    shift: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean translation and assignment in turn, while the cost falls."""
    for _ in range(20):
        moved = shift + torus_log(f0[assignment] + shift, f1).mean(0)
        costs = _costs(f0, f1, moved[None])[0] + different
        rows, again = linear_sum_assignment(costs)
        lower = float(costs[rows, again].sum())
        if lower >= cost - 1e-12:
            break
        cost, assignment, shift = lower, again, moved
    return cost, assignment, shift


def _costs(f0: np.ndarray, f1: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """(K, n, n) squared torus distances of every atom of f1 to every atom of f0 + shift."""
    difference = (f1[:, None] - f0[None])[None] - shifts[:, None, None]
    difference -= np.round(difference)
    return np.einsum("kijc,kijc->kij", difference, difference)


def _candidates(f0: np.ndarray, f1: np.ndarray, types: np.ndarray) -> np.ndarray:
    """(K, 3) translations that put an atom of the rarest element on one of the target's."""
    values, counts = np.unique(types, return_counts=True)
    rarest = types == values[np.argmin(counts)]
    return (f1[rarest][:, None] - f0[rarest][None]).reshape(-1, 3)


def _formula(numbers: np.ndarray) -> str:
    values, counts = np.unique(numbers, return_counts=True)
    return " ".join(f"{SYMBOLS[v]}{c}" for v, c in zip(values, counts, strict=True)) or "nothing"
