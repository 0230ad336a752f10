"""Novelty: which crystals match nothing in a training set, by pymatgen's StructureMatcher.

Only crystals of equal reduced formula can match, so each is compared with those alone.

The paper's appendix calls a crystal novel that matches nothing in MP-20's training split, its
results one that matches nothing in training and validation: ask for both, and join them with
`Novelty.join`.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.parallel.map import Failure, map_crystals
from flowllm.parallel.time_limit import time_limit
from flowllm.runs.progress import ItemProgress
from flowllm.stability.grouping import SECONDS
from flowllm.stability.same_formula import (
    SAME,
    by_formula,
    reduced,
    reduced_formulas,
    same,
    unmatchable,
)


@dataclass(frozen=True)
class Novelty:
    """Which of B crystals are known.

    Attributes:
        novel: (B,) bool; a crystal that could not be compared is not novel.
        matched: (B,) str, the first training crystal that it matches; empty where none.
        same_formula: (B,) bool, the training set holds a crystal of the same reduced formula: the
            only ones that need a comparison.
        faults: B reasons why a crystal could not be compared, or not with all; else empty.
        settings: tolerances of the comparison.
    """

    novel: np.ndarray
    matched: np.ndarray
    same_formula: np.ndarray
    faults: tuple[str, ...]
    settings: MatchSettings

    def join(self, other: Novelty) -> Novelty:
        """Novel against two sets, as training and validation.

        Raises:
            InputError: of other crystals, or by other tolerances.
        """
        if len(self.novel) != len(other.novel) or self.settings != other.settings:
            raise InputError("two novelties of different crystals or tolerances cannot be joined")
        return Novelty(
            self.novel & other.novel,
            np.where(self.matched != "", self.matched, other.matched),
            self.same_formula | other.same_formula,
            tuple(a or b for a, b in zip(self.faults, other.faults, strict=True)),
            self.settings,
        )


def novelty(
    crystals: CrystalBatch,
    training: CrystalSet | CrystalBatch,
    settings: MatchSettings = SAME,
    *,
    executor: Executor | None = None,
    workers: int | None = 1,
    progress: ItemProgress | None = None,
    seconds: float | None = SECONDS,
) -> Novelty:
    """Compare each crystal with all training crystals of equal reduced formula.

    Args:
        crystals: B crystals.
        training: what counts as known. A crystal that can't be reduced is left out, and noted at
            those which it could have been compared with.
        settings: tolerances; StructureMatcher's defaults.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; 1 runs in this one, None takes all cores.
        progress: called as progress(done, total) with compositions that are in both sets.
        seconds: the longest that one crystal may take; None for no limit.

    Raises:
        InputError: workers or seconds that are not positive.
    """
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds must be positive, not {seconds:g}")
    known = training.crystals if isinstance(training, CrystalSet) else training
    faults = unmatchable(crystals)
    ours = by_formula(reduced_formulas(crystals))
    theirs = by_formula(reduced_formulas(known))
    shared = [formula for formula in ours if formula in theirs]
    novel = np.array([not fault for fault in faults], dtype=bool)
    matched = np.full(len(crystals), "", dtype=known.ids.dtype if len(known) else "<U1")
    same_formula = np.zeros(len(crystals), dtype=bool)
    families = []
    for formula in shared:
        same_formula[ours[formula]] = True
        rows = [row for row in ours[formula] if not faults[row]]
        if rows:
            families.append((rows, theirs[formula]))
    outcomes = map_crystals(
        match_family,
        [(crystals[rows], known[others], settings, seconds) for rows, others in families],
        executor,
        workers,
        progress,
        chunk_size=8,
        names=[str(crystals.ids[rows[0]]) for rows, _ in families],
    )
    for (rows, others), outcome in zip(families, outcomes, strict=True):
        if isinstance(outcome, Failure):
            outcome = [(-1, False, f"not compared: {outcome.message}")] * len(rows)
        for row, (found, is_novel, fault) in zip(rows, outcome, strict=True):
            novel[row], faults[row] = is_novel, fault
            if found >= 0:
                matched[row] = known.ids[others[found]]
    return Novelty(novel, matched, same_formula, tuple(faults), settings)


def match_family(
    item: tuple[CrystalBatch, CrystalBatch, MatchSettings, float | None],
) -> list[tuple[int, bool, str]]:
    """Per crystal of one composition: the first training crystal that it matches (or -1), whether
    it is novel, and what went wrong."""
    crystals, known, settings, seconds = item
    references, lost = [], ""
    faults = unmatchable(known)
    for index, crystal in enumerate(known):
        try:
            if faults[index]:
                raise InputError(faults[index])
            with time_limit(seconds):
                references.append((index, reduced(crystal)))
        except Exception as error:
            lost = f"not compared with {known.ids[index]}: {error}"
    result = []
    for crystal in crystals:
        try:
            with time_limit(seconds):
                structure = reduced(crystal)
                found = next((i for i, r in references if same(r, structure, settings)), -1)
            result.append((found, found < 0, lost if found < 0 else ""))
        except Exception as error:
            result.append((-1, False, f"not compared: {error}"))
    return result
