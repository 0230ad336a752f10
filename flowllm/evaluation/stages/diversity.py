"""Formulas, prototypes and symmetry of valid crystals, and how they compare with the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.stages.base import StageResult, Work
from flowllm.metrics.group_relations import crystal_systems
from flowllm.metrics.symmetry import FINE_SYMPREC, SYMPREC, compare_space_groups, symmetry


def diversity(work: Work) -> StageResult:
    """Distinct formulas and prototypes, shares without symmetry, distances to the test split."""
    crystals = work.crystals
    found, fine = (
        symmetry(
            crystals, symprec, executor=work.executor, workers=work.workers,
            progress=work.report, seconds=work.settings.seconds,
        )
        for symprec in (SYMPREC, FINE_SYMPREC)
    )  # fmt: skip
    systems = ["-".join(sorted(composition)) for composition in crystals.compositions]
    formulas = crystals.formulas
    valid = np.flatnonzero(work.usable)
    prototypes = {found.prototypes[i] for i in valid} - {""}
    metrics = [
        _count("distinct reduced formulas", len({formulas[i] for i in valid}), valid),
        _count("distinct chemical systems", len({systems[i] for i in valid}), valid),
        _count("distinct prototypes", len(prototypes), valid),
        Metric.rate("space group other than P1", found.space_groups[valid] > 1),
    ]
    for symprec, numbers in ((SYMPREC, found.space_groups), (FINE_SYMPREC, fine.space_groups)):
        metrics += _symmetry_of(numbers[valid], work.reference.space_groups(symprec), symprec)
    columns: dict[str, list[Any]] = {
        "space_group": [int(g) or None for g in found.space_groups],
        "space_group_fine": [int(g) or None for g in fine.space_groups],
        "prototype": [str(p) or None for p in found.prototypes],
        "chemical_system": systems,
    }
    protocol = {
        "space groups": f"spglib, symprec {SYMPREC:g} Å unless said, against "
        f"{work.reference.describe('test')}; total variation is half the summed difference of the "
        "shares (half the L1 distance)",
        "prototype": "anonymous formula, space group and Wyckoff letters",
        "counts": "of distinct things over the valid structures; they fall with the number of "
        "crystals: compare equal n",
    }
    return StageResult(columns, metrics, protocol)


def _symmetry_of(numbers: np.ndarray, theirs: np.ndarray | None, symprec: float) -> list[Metric]:
    """Figures of the valid crystals' space groups at one tolerance.

    Args:
        numbers: (V,) space groups, 0 for none.
        theirs: (R,) of the reference at the same tolerance; None where it has none.
        symprec: Å.
    """
    at = "" if symprec == SYMPREC else f", symprec {symprec:g}"
    metrics = [Metric.rate(f"P1, symprec {symprec:g}", numbers == 1)]
    if theirs is None or not len(numbers):
        return metrics
    groups = compare_space_groups(numbers, theirs)
    systems = compare_space_groups(crystal_systems(numbers), crystal_systems(theirs))
    named = [
        ("space groups, total variation", groups.total_variation),
        ("space groups, Jensen-Shannon distance", groups.jensen_shannon),
        ("crystal systems, total variation", systems.total_variation),
    ]
    return metrics + [Metric.of(f"{name}{at}", value) for name, value in named]


def _count(name: str, distinct: int, valid: np.ndarray) -> Metric:
    share = distinct / len(valid) if len(valid) else float("nan")
    return Metric(name, share, n=len(valid), unit=SHARE, note=f"{distinct} of {len(valid)}")
