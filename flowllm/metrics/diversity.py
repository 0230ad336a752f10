"""Diversity of generated crystals.

Gruver et al., ICLR 2024, section 5: the mean Euclidean distance over all pairs of valid samples, of
their structural fingerprints and of their compositional ones, the latter standardised as for
coverage. Distinct chemical systems and prototypes are counted beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.coverage import BLOCK, CompositionScaler
from flowllm.metrics.fingerprints import Fingerprints
from flowllm.metrics.statistics import Estimate, bootstrap_interval


@dataclass(frozen=True)
class Diversity:
    """Variety within a set of crystals; distinct counts grow with n, so compare equal n.

    Attributes:
        structure: mean distance between the structural fingerprints of two valid crystals.
        composition: mean distance between their standardised compositional fingerprints.
        chemical_systems: distinct sets of elements.
        prototypes: distinct prototypes; None where they were not given.
        n: valid crystals with both fingerprints.
    """

    structure: Estimate
    composition: Estimate
    chemical_systems: int
    prototypes: int | None
    n: int


def diversity(
    crystals: CrystalBatch,
    fingerprints: Fingerprints,
    scaler: CompositionScaler,
    valid: np.ndarray | None = None,
    prototypes: np.ndarray | None = None,
) -> Diversity:
    """Variety of the valid crystals among B.

    Args:
        crystals: B crystals.
        fingerprints: of the same crystals; those without both count as not valid.
        scaler: of the compositional fingerprints.
        valid: (B,) bool; by default all that have both fingerprints.
        prototypes: (B,) labels, as `flowllm.metrics.symmetry.symmetry` gives them; an empty label
            is not a prototype.

    Raises:
        InputError: lengths disagree.
    """
    given = {"fingerprints": fingerprints, "flags of validity": valid, "prototypes": prototypes}
    for name, values in given.items():
        if values is not None and len(values) != len(crystals):
            raise InputError(f"{len(values)} {name} for {len(crystals)} crystals")
    chosen = fingerprints.complete
    if valid is not None:
        chosen = chosen & np.asarray(valid, dtype=bool)
    rows = np.flatnonzero(chosen)
    compositions = crystals.compositions
    systems = {frozenset(compositions[row]) for row in rows}
    kinds = None if prototypes is None else len({p for p in np.asarray(prototypes)[rows] if p})
    return Diversity(
        mean_pairwise_distance(fingerprints.structure[rows]),
        mean_pairwise_distance(scaler.transform(fingerprints.composition[rows])),
        len(systems),
        kinds,
        len(rows),
    )


def mean_pairwise_distance(rows: np.ndarray, seed: int = 0) -> Estimate:
    """The mean Euclidean distance over all pairs of n rows (n, D), with its bootstrap interval.

    The mean over pairs is a U-statistic: its bootstrap over crystals is that of the mean of
    2 t_i - m, where t_i is the mean distance of row i to the others and m the mean over pairs
    (Hájek's projection), and needs no second pass over the pairs.

    Args:
        rows: without NaN.
        seed: of the bootstrap.

    Returns:
        n is the number of rows; NaN of fewer than two rows.
    """
    from scipy.spatial.distance import cdist

    size = len(rows)
    if size < 2:
        return Estimate(float("nan"), float("nan"), float("nan"), size)
    sums = np.zeros(size)
    step = max(1, BLOCK // size)
    for start in range(0, size, step):
        sums[start : start + step] = cdist(rows[start : start + step], rows).sum(1)
    each = sums / (size - 1)
    value = float(each.mean())
    low, high = bootstrap_interval(2 * each - value, seed=seed)
    return Estimate(value, max(0.0, low), high, size)
