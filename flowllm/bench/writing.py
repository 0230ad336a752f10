"""How fast the files of a run are written."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from flowllm.systems.generation import Generation
from flowllm.workflows.results import write_results


@dataclass(frozen=True)
class WritingBench:
    """The timings of a benchmark.

    Attributes:
        crystals: that were written as `flowllm generate` does: two CIF files each, extended XYZ,
            tables, trajectories and the page.
        seconds: for all of them.
        per_second: crystals over seconds.
    """

    crystals: int
    seconds: float
    per_second: float


def bench_writing(generation: Generation) -> WritingBench:
    """Time the writing of all files once, imports included, as in a run.

    Args:
        generation: its crystals are written to a folder that is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="flowllm-bench-") as folder:
        begun = time.perf_counter()
        write_results(Path(folder), generation, {})
        seconds = time.perf_counter() - begun
    count = len(generation.prior)
    return WritingBench(count, seconds, count / seconds)
