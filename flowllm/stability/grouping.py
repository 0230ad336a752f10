"""Groups of equal crystals: which of B generated crystals are the same material.

Follows `StructureMatcher.group_structures` of pymatgen: the first crystal represents its group, and
each other joins the first group whose representative it matches. A match is no equivalence (a and
b, b and c can match where a and c do not), so the groups depend on the order of the crystals; this
one is theirs.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.parallel.map import Failure, map_crystals
from flowllm.parallel.time_limit import time_limit
from flowllm.runs.progress import ItemProgress
from flowllm.stability.same_formula import (
    SAME,
    by_formula,
    reduced,
    reduced_formulas,
    same,
    unmatchable,
)

SECONDS = 60.0  # that one crystal may take


@dataclass(frozen=True)
class Groups:
    """Groups of equal crystals among B.

    Attributes:
        numbers: (B,) int64 number of the group, in the order in which the groups begin; -1 for a
            crystal that could not be compared.
        faults: B reasons why not; empty for the others.
        settings: tolerances of the comparison.
    """

    numbers: np.ndarray
    faults: tuple[str, ...]
    settings: MatchSettings

    @property
    def unique(self) -> np.ndarray:
        """(B,) bool: the first crystal of each group, without those that could not be compared."""
        return first_of_each(self.numbers)

    def __len__(self) -> int:
        """The number of groups."""
        return int(self.numbers.max(initial=-1)) + 1


def first_of_each(numbers: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """(B,) bool: the first crystal of each group, among those of a mask (B,); -1 is not a group."""
    candidates = numbers >= 0 if among is None else (numbers >= 0) & among
    positions = np.flatnonzero(candidates)
    result = np.zeros(len(numbers), dtype=bool)
    result[positions[np.unique(numbers[positions], return_index=True)[1]]] = True
    return result


def group_crystals(
    crystals: CrystalBatch,
    settings: MatchSettings = SAME,
    *,
    executor: Executor | None = None,
    workers: int | None = 1,
    progress: ItemProgress | None = None,
    seconds: float | None = SECONDS,
) -> Groups:
    """Group equal crystals; only crystals of equal reduced formula are compared.

    Args:
        crystals: B crystals.
        settings: tolerances; StructureMatcher's defaults.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; 1 runs in this one, None takes all cores.
        progress: called as progress(done, total) with the compositions that several crystals share.
        seconds: the longest that one crystal may take; one that takes longer, or fails, is left out
            with its reason. None for no limit.

    Raises:
        InputError: workers or seconds that are not positive.
    """
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds must be positive, not {seconds:g}")
    faults = unmatchable(crystals)
    sound = [index for index, fault in enumerate(faults) if not fault]
    formulas = reduced_formulas(crystals)
    families = [
        [sound[i] for i in rows] for rows in by_formula([formulas[i] for i in sound]).values()
    ]
    # a crystal whose composition no other has is a group by itself, with nothing to compare
    first = np.full(len(crystals), -1, dtype=np.int64)
    first[[rows[0] for rows in families]] = [rows[0] for rows in families]
    shared = [rows for rows in families if len(rows) > 1]
    outcomes = map_crystals(
        group_family,
        [(crystals[rows], settings, seconds) for rows in shared],
        executor,
        workers,
        progress,
        chunk_size=8,
        names=[str(crystals.ids[rows[0]]) for rows in shared],
    )
    for rows, outcome in zip(shared, outcomes, strict=True):
        if isinstance(outcome, Failure):
            outcome = [f"not compared: {outcome.message}"] * len(rows)
        for row, found in zip(rows, outcome, strict=True):
            if isinstance(found, str):
                first[row], faults[row] = -1, found
            else:
                first[row] = rows[found]
    numbers = np.full(len(crystals), -1, dtype=np.int64)
    numbers[first >= 0] = np.unique(first[first >= 0], return_inverse=True)[1]
    return Groups(numbers, tuple(faults), settings)


def group_family(item: tuple[CrystalBatch, MatchSettings, float | None]) -> list[int | str]:
    """For each crystal of one composition, the position of its representative, or a reason."""
    crystals, settings, seconds = item
    representatives: list[tuple[int, object]] = []
    result: list[int | str] = []
    for index, crystal in enumerate(crystals):
        try:
            with time_limit(seconds):
                structure = reduced(crystal)
                found = next(
                    (i for i, other in representatives if same(other, structure, settings)), None
                )
        except Exception as error:
            result.append(f"not compared: {error}")
            continue
        if found is None:
            representatives.append((index, structure))
        result.append(index if found is None else found)
    return result
