"""Run cases on processes that may crash, hang or grow, and collect the faults."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flowllm.parallel.map import Failure, map_crystals
from tests.fuzz.targets import Case, Fault, run_case

SECONDS = 20.0  # for one input; a slow machine takes a tenth of it


def faults_of(
    target: str, numbers: Iterable[int], corpus: Path, workers: int
) -> list[tuple[int, Fault]]:
    """(number, fault) of each case that went wrong; a crash and a hang are faults too."""
    cases = [Case(target, number, str(corpus)) for number in numbers]
    names = [str(case.number) for case in cases]
    outcomes = map_crystals(
        run_case, cases, workers=workers, chunk_size=20, names=names, seconds=SECONDS
    )
    found = []
    for case, outcome in zip(cases, outcomes, strict=True):
        if isinstance(outcome, Failure):
            outcome = Fault(f"{outcome.kind}: {outcome.message}", outcome.details)
        if outcome is not None:
            found.append((case.number, outcome))
    return found
