"""Uniqueness and novelty of the crystals as given; the stability stage uses relaxed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.metric import Metric
from flowllm.evaluation.stages.base import StageResult, Work, spread
from flowllm.metrics.matching import MatchSettings
from flowllm.stability import group_crystals
from flowllm.stability import novelty as exact_novelty
from flowllm.stability.grouping import first_of_each


@dataclass(frozen=True)
class Comparison:
    """Groups of equal crystals among K, and which are known.

    Attributes:
        groups: (K,) int64 number of the group of equal crystals; -1 where not compared.
        unique: (K,) bool, first of its group.
        novel: (K,) bool.
        known_as: (K,) id of the training crystal that is matched, or None.
        faults: K reasons, empty where there is none.
        protocol: how it was decided.
    """

    groups: np.ndarray
    unique: np.ndarray
    novel: np.ndarray
    known_as: list[Any]
    faults: list[str]
    protocol: dict[str, str]


def novelty(work: Work) -> StageResult:
    """Unique: first of its group; novel: matches no known crystal."""
    places = np.flatnonzero(work.results["validity"].column("valid_structure", bool))
    total = len(work.crystals)
    found = compare(work, work.crystals[places])
    metrics = [
        Metric.rate("unique", found.unique, work.total),
        Metric.rate("novel", found.novel, work.total),
        Metric.rate(
            "unique and novel",
            first_of_each(found.groups, found.novel),
            work.total,
            note="groups of equal crystals with a novel one",
        ),
    ]
    columns = {
        "unique": spread(places, found.unique.tolist(), total),
        "novel": spread(places, found.novel.tolist(), total),
        "known_as": spread(places, found.known_as, total),
    }
    reasons = {
        int(place): f"novelty: {fault}"
        for place, fault in zip(places, found.faults, strict=True)
        if fault
    }
    protocol = {
        **found.protocol,
        "crystals": "as given; invalid structures count as neither",
        "denominator": f"all {work.total} generated",
    }
    return StageResult(columns, metrics, protocol, reasons)


def compare(work: Work, crystals: CrystalBatch) -> Comparison:
    """Group K crystals, and compare them with all known crystals of the same reduced formula.

    Raises:
        InputError: the reference does not hold the structures of a split.
    """
    same, settings = work.settings.same, work.settings
    splits = settings.known.split("+")
    known = {split: work.reference.crystals(split, work.workers) for split in splits}
    missing = [split for split, batch in known.items() if batch is None]
    if missing:
        raise InputError(
            f"novelty against {settings.known} needs the {' and '.join(missing)} split of "
            f"{work.reference.name}, whose structures are not available: rebuild the reference "
            "with `flowllm reference`"
        )
    groups = group_crystals(
        crystals, same, executor=work.executor, workers=work.workers, seconds=settings.seconds,
        progress=lambda done, total: work.report(done, 2 * total),
    )  # fmt: skip
    training = CrystalBatch.concatenate(batch for batch in known.values() if batch is not None)
    result = exact_novelty(
        crystals, training, same, executor=work.executor, workers=work.workers,
        seconds=settings.seconds,
        progress=lambda done, total: work.report(total + done, 2 * total),
    )  # fmt: skip
    faults = [one or other for one, other in zip(groups.faults, result.faults, strict=True)]
    names = ", ".join(work.reference.describe(split) for split in splits)
    tolerances = _tolerances(same)
    protocol = {"same crystal": tolerances, "novelty": f"{tolerances} against {names}"}
    known_as: list[Any] = [str(name) or None for name in result.matched]
    return Comparison(groups.numbers, groups.unique, result.novel, known_as, faults, protocol)


def _tolerances(same: MatchSettings) -> str:
    return (
        f"StructureMatcher, ltol {same.ltol:g}, stol {same.stol:g}, angle_tol {same.angle_tol:g}°, "
        "within equal reduced formulas"
    )
