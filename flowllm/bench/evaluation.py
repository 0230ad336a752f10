"""How long an evaluation takes on this machine, and its relaxation beside chgnet's own."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowllm.bench.relaxation import bench_relaxation
from flowllm.evaluation.run import evaluate
from flowllm.evaluation.stages import DEFAULT_STAGES
from flowllm.inputs import read_inputs

PROXIES = tuple(stage for stage in DEFAULT_STAGES if stage not in ("relaxation", "stability"))
USUAL = (8, 12)  # atoms of the crystals that are relaxed, about MP-20's mean


@dataclass(frozen=True)
class EvaluationBench:
    """The timings of a benchmark.

    Attributes:
        crystals: evaluated by all stages that need no energies.
        seconds: stage -> wall seconds, the start of its processes included.
        memory_mb: the most memory that this process and the largest of its workers held, in MB.
        relaxation: what `bench_relaxation` gives, or nothing.
    """

    crystals: int
    seconds: dict[str, float]
    memory_mb: float
    relaxation: dict[str, float]


def bench_evaluation(
    source: str | Path,
    reference: str = "mp_20",
    relax_num: int = 100,
    workers: int | None = None,
    seed: int = 0,
) -> EvaluationBench:
    """Time an evaluation of crystals from anywhere.

    Args:
        source: what `evaluate` takes.
        reference: what it is compared with.
        relax_num: crystals of 8 to 12 atoms to relax both ways; 0 leaves this out.
        workers: processes; default all cores.
        seed: of their choice.
    """
    crystals = read_inputs(source).crystals
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="flowllm-bench-") as folder:
        for stage in PROXIES:
            begun = time.perf_counter()
            evaluate(source, reference, Path(folder) / "out", only=[stage], workers=workers)
            seconds[stage] = time.perf_counter() - begun
    relaxation: dict[str, float] = {}
    if relax_num:
        sizes = crystals.num_atoms
        usual = np.flatnonzero((sizes >= USUAL[0]) & (sizes <= USUAL[1]))
        drawn = np.random.default_rng(seed).permutation(usual)[:relax_num]
        relaxation = bench_relaxation(crystals[np.sort(drawn)], workers or 2)
    return EvaluationBench(len(crystals), seconds, _memory_mb(), relaxation)


def _memory_mb() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return sum(
        resource.getrusage(who).ru_maxrss / unit
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def print_evaluation_bench(bench: EvaluationBench) -> None:
    """The stages as a table, and the relaxation in one line."""
    from rich.console import Console
    from rich.table import Table

    shown = Table("stage", "seconds", title=f"{bench.crystals} crystals")
    for stage, seconds in bench.seconds.items():
        shown.add_row(stage, f"{seconds:.1f}")
    shown.add_section()
    shown.add_row("all", f"{sum(bench.seconds.values()):.1f}")
    console = Console()
    console.print(shown)
    console.print(f"peak memory {bench.memory_mb:.0f} MB (this process and its largest worker)")
    if bench.relaxation:
        found = bench.relaxation
        console.print(
            f"relaxation of {found['crystals']:.0f}: {found['seconds']:.1f} s, chgnet's own "
            f"{found['chgnet_seconds']:.1f} s, {found['ratio']:.2f} of the time"
        )
