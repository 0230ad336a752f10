"""Stable, unique and novel: rates over all generated crystals.

Stable is E_hull < 0 with at least two elements (FlowMM and FlowLLM, section 5); metastable is
E_hull below 0.08 or 0.1 eV/atom. S.U.N. counts groups of equal crystals of which at least one is
stable and novel; so the crystal that stands for its group is the first of the stable and novel
ones, not the first generated: of two equal crystals the first may have relaxed badly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowllm.errors import InputError
from flowllm.metrics.statistics import Estimate, estimate
from flowllm.stability.grouping import Groups, first_of_each

THRESHOLDS = (0.0, 0.08, 0.1)


@dataclass(frozen=True)
class BelowHull:
    """Counts below one threshold.

    Attributes:
        threshold: eV/atom; E_hull below it counts.
        stable: (B,) bool, below the threshold.
        sun: (B,) bool, the first of its group among the stable and novel crystals.
        stable_rate: over everything generated.
        sun_rate: over everything generated.
    """

    threshold: float
    stable: np.ndarray
    sun: np.ndarray
    stable_rate: Estimate
    sun_rate: Estimate


@dataclass(frozen=True)
class SunRates:
    """Rates of B crystals over all that were generated, rejected samples included.

    Attributes:
        below: per threshold, what lies below it.
        unique: (B,) bool, the first of its group.
        novel: (B,) bool, matches nothing known.
        unique_rate: over everything generated.
        novel_rate: over everything generated.
        unique_novel_rate: groups with a novel crystal, over everything generated.
        unknown: crystals without an energy; they count as not stable.
        total: everything generated: the denominator of every rate.
    """

    below: tuple[BelowHull, ...]
    unique: np.ndarray
    novel: np.ndarray
    unique_rate: Estimate
    novel_rate: Estimate
    unique_novel_rate: Estimate
    unknown: int
    total: int

    def at(self, threshold: float) -> BelowHull:
        """Counts below a threshold in eV/atom.

        Raises:
            InputError: it was not asked for.
        """
        for part in self.below:
            if part.threshold == threshold:
                return part
        known = ", ".join(f"{part.threshold:g}" for part in self.below)
        raise InputError(f"no rates at {threshold:g} eV/atom; available are {known}")


def is_stable(
    e_above_hull: np.ndarray, n_elements: np.ndarray, threshold: float = 0.0
) -> np.ndarray:
    """(B,) bool: E_hull below the threshold; NaN is not.

    At a threshold of 0 or below a crystal must hold at least two elements too: the elements define
    the hull at its ends, where a small error of the relaxer decides. Metastable crystals may be
    elements.

    Args:
        e_above_hull: (B,) signed, in eV/atom.
        n_elements: (B,) how many elements each crystal holds.
        threshold: eV/atom.
    """
    below = np.asarray(e_above_hull, dtype=np.float64) < threshold  # NaN is below nothing
    return below if threshold > 0 else below & (np.asarray(n_elements) >= 2)


def sun_rates(
    e_above_hull: np.ndarray,
    groups: Groups | np.ndarray,
    novel: np.ndarray,
    n_elements: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
    total: int | None = None,
) -> SunRates:
    """Stable, metastable, S.U.N. and M.S.U.N. rates.

    Args:
        e_above_hull: (B,) signed distance to the hull in eV/atom; NaN where there is none.
        groups: of `group_crystals`, or (B,) group numbers; -1 is never unique.
        novel: (B,) bool.
        n_elements: (B,) how many elements each crystal holds.
        thresholds: eV/atom.
        total: everything that was generated, unreadable and rejected samples included; default B.

    Raises:
        InputError: numbers differ, total is below B, or a threshold is given twice.
    """
    energies = np.asarray(e_above_hull, dtype=np.float64)
    numbers = groups.numbers if isinstance(groups, Groups) else np.asarray(groups, dtype=np.int64)
    new, kinds = np.asarray(novel, dtype=bool), np.asarray(n_elements)
    sizes = {len(energies), len(numbers), len(new), len(kinds)}
    if len(sizes) > 1:
        raise InputError(
            f"{len(energies)} energies, {len(numbers)} group numbers, {len(new)} novelties and "
            f"{len(kinds)} numbers of elements"
        )
    count = len(energies) if total is None else total
    if count < len(energies):
        raise InputError(f"{len(energies)} crystals of {count} that were generated")
    if len(set(thresholds)) < len(thresholds):
        raise InputError(f"a threshold is given twice: {', '.join(map(str, thresholds))}")

    def rate(flags: np.ndarray) -> Estimate:
        return estimate(np.concatenate([flags, np.zeros(count - len(flags), dtype=bool)]))

    below = []
    for threshold in thresholds:
        stable = is_stable(energies, kinds, threshold)
        sun = first_of_each(numbers, stable & new)
        below.append(BelowHull(float(threshold), stable, sun, rate(stable), rate(sun)))
    unique = first_of_each(numbers)
    return SunRates(
        tuple(below),
        unique,
        new,
        rate(unique),
        rate(new),
        rate(first_of_each(numbers, new)),
        int(np.isnan(energies).sum()) + count - len(energies),
        count,
    )
