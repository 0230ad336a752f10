"""Making pairs: sample the prior at a target's composition, align, store; resumable in chunks.

Each chunk is one task that any process can do and whose pairs depend on nothing else, so a run on
many processes, or one that was killed and started again, gives the same pairs to the bit. Chunks go
to disk as they come: memory does not grow with the number of pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.flow.couplings.chunk import (
    COUNTS,
    SUMS,
    PairChunk,
    PairPlan,
    PairTask,
    make_chunk,
    sample_seed,
    target_order,
)
from flowllm.methods.flow.couplings.files import chunk_name, kept_chunks, wanted_chunk
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.parallel.map import Failure, iterate_crystals
from flowllm.parallel.pool import WorkerPool
from flowllm.runs.files import write_json
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import claim
from flowllm.runs.progress import ItemProgress
from flowllm.systems.decoding_figures import DecodingFigures
from flowllm.systems.protocols import Prior
from flowllm.training.device import used_threads

__all__ = ["build_pairs", "sample_pairs", "sample_seed", "target_order"]

COMMAND = "pairs"  # of a run that is opened here, for a caller without one
WAVE = 256  # chunks that are handed out together: what is on its way bounds the memory


def build_pairs(
    targets: CrystalBatch,
    prior: Prior,
    settings: Any,
    out: Path,
    num_pairs: int,
    seed: int,
    chunk_size: int = 256,
    samples_per_target: int = 1,
    keep: str = "closest",
    progress: ItemProgress | None = None,
    *,
    alignment: str = "translation",
) -> PairSet:
    """Pairs for training the flow (FlowLLM, section 3.3), written chunk by chunk.

    Args:
        targets: the training crystals c1.
        prior: what gives c0 for a composition.
        settings: passed on to the prior.
        out: folder, as for `sample_pairs`.
        num_pairs: number of draws of a target.
        seed: seed of everything random.
        chunk_size: draws in a chunk.
        samples_per_target: samples drawn for one target.
        keep: "closest" keeps the sample with the smallest aligned distance, "all" every one.
        progress: called with (draws done, draws in all) after each chunk.
        alignment: method of `flowllm.methods.flow.couplings.alignment.align`.

    Returns:
        The pairs in the order of the draws; ids are the targets'. A draw whose samples all failed
        is left out and counted.

    Raises:
        InputError: an argument is out of range, or `out` holds chunks of another run.
    """
    plan = PairPlan(num_pairs, seed, chunk_size, samples_per_target, keep, alignment)
    sample_pairs(targets, prior, settings, out, plan, progress)
    return PairSet.concatenate(PairSet.load(file) for file in chunk_files(out, plan))


def sample_pairs(
    targets: CrystalBatch,
    prior: Prior | Callable[[], Prior],
    settings: Any,
    out: Path,
    plan: PairPlan,
    progress: ItemProgress | None = None,
    *,
    processes: int = 1,
    executor: Executor | None = None,
    run: RunFolder | None = None,
) -> dict[str, Any]:
    """Make the missing chunks of a plan, on several processes.

    Draw number p takes the p-th target of an endless sequence of shuffled passes over the targets,
    so that each comes once before any comes twice.

    Args:
        targets: the training crystals c1.
        prior: what gives c0 for a composition; for other processes something that can be sent to
            them, best a function that loads the prior there.
        settings: passed on to the prior.
        out: folder for `chunk-XXXXX.npz` and `summary.json`; without `run` it becomes the folder
            of a run of its own.
        plan: which pairs.
        progress: called with (draws done, draws in all) after each chunk.
        processes: spawned ones, each with one thread; 1 computes in this one.
        executor: any `concurrent.futures` executor instead; it is not shut down.
        run: the run that `out` is a part of.

    Returns:
        Counts, the mean squared torus distances per atom, and under "speed" what it took.

    Raises:
        InputError: no targets, `out` holds another run, or a chunk failed twice.
    """
    if not len(targets):
        raise InputError("pairs need targets")
    if processes < 1:
        raise InputError(f"processes must be at least 1, not {processes}")
    out = Path(out)
    about = {
        "targets": targets.digest(),
        "prior_settings": str(settings),
        **{name: value for name, value in vars(plan).items() if name != "num_pairs"},
    }
    order = target_order(len(targets), plan.num_pairs, plan.seed)
    total = _Total(plan.num_pairs, plan.chunk_size, progress)

    def chosen(number: int) -> np.ndarray:
        return order[number * plan.chunk_size : (number + 1) * plan.chunk_size]

    def task(number: int) -> PairTask:
        start = number * plan.chunk_size
        return PairTask(prior, targets[chosen(number)], start, settings, plan)

    processes = min(processes, total.chunks)  # one chunk is not worth a process of its own
    own = WorkerPool(processes) if executor is None and processes > 1 else None
    with claim(out, COMMAND, about, run) as claimed, own or nullcontext():
        kept = kept_chunks(out)
        for first in range(0, total.chunks, WAVE):
            numbers = range(first, min(first + WAVE, total.chunks))
            wanted = [wanted_chunk(n, chosen(n), claimed.digest) for n in numbers]

            def make(places: list[int], first: int = first) -> Iterator[tuple[int, PairChunk]]:
                missing = [first + place for place in places]
                return ((n - first, made) for n, made in _make(missing, task, executor or own))

            for place, chunk, new in kept.each(wanted, make):
                total.add(first + place, chunk, new)
        summary = total.summary(about, processes if executor is None else None)
        write_json(out / "summary.json", summary)
    return summary


def chunk_files(out: Path, plan: PairPlan) -> list[Path]:
    """The files of a plan's chunks, in the order of the draws."""
    chunks = -(-plan.num_pairs // plan.chunk_size)
    return [out / f"{chunk_name(number)}.npz" for number in range(chunks)]


class _Total:
    """Totals over all chunks.

    Args:
        draws: draws in all.
        chunk_size: draws per chunk.
        progress: called after each chunk.
    """

    def __init__(self, draws: int, chunk_size: int, progress: ItemProgress | None) -> None:
        self.draws, self.chunk_size, self.progress = draws, chunk_size, progress
        self.chunks = -(-draws // chunk_size)
        # of each chunk, so that their order does not change the sums
        self.tallies = np.zeros((self.chunks, len(COUNTS) + len(SUMS)))
        self.work = np.zeros(2)
        self.decoding = DecodingFigures()
        self.done = self.new = 0
        self.began = time.perf_counter()

    def add(self, number: int, chunk: PairChunk, new: bool = False) -> None:
        """Count a chunk, and whether this run made it."""
        self.tallies[number] = chunk.tally
        self.work += chunk.work
        self.decoding += chunk.decoding
        self.new += len(chunk.pairs) if new else 0
        self.done += min(self.chunk_size, self.draws - number * self.chunk_size)
        if self.progress:
            self.progress(self.done, self.draws)

    def summary(self, run: dict[str, Any], processes: int | None) -> dict[str, Any]:
        """The record of the run, with its speed if this run made any pairs."""
        counts = self.tallies.sum(0)
        summary: dict[str, Any] = dict(zip(COUNTS, map(int, counts), strict=False))
        summary |= {"requested_draws": self.draws, **run}
        atoms = max(summary["atoms"], 1)
        for name, value in zip(SUMS, counts[len(COUNTS) :], strict=True):
            summary[f"mean_squared_torus_distance_{name}"] = float(value) / atoms
        seconds, core_seconds = self.work.tolist()
        speed = {
            "chunk_seconds": round(seconds, 3),
            "core_seconds": round(core_seconds, 3),
            "pairs_per_core_second": round(summary["pairs"] / max(core_seconds, 1e-9), 3),
        }
        if self.new:
            elapsed = time.perf_counter() - self.began
            speed |= {
                "processes": processes,
                "new_pairs": self.new,
                "seconds": round(elapsed, 3),
                "pairs_per_second": round(self.new / elapsed, 3),
            }
        if self.decoding.texts:
            speed["decoding"] = self.decoding.summary()
        return {**summary, "speed": speed}


def _make(
    numbers: list[int], task: Callable[[int], PairTask], executor: Executor | None
) -> Iterator[tuple[int, PairChunk]]:
    """Chunks as they finish; on an executor, lost ones are retried once."""
    if executor is None:
        with used_threads(1):
            for number in numbers:
                yield number, make_chunk(task(number))
        return
    lost = []
    for number, outcome in zip(numbers, _spread(numbers, task, executor), strict=True):
        if isinstance(outcome, Failure):
            if outcome.kind == "InputError":
                raise InputError(outcome.message)
            lost.append(number)
        else:
            yield number, outcome
    for number, outcome in zip(lost, _spread(lost, task, executor), strict=True):
        if isinstance(outcome, Failure):
            raise InputError(
                f"chunk {number} of the pairs failed twice ({outcome.kind}: {outcome.message}); "
                "the finished ones are kept; run the same command to resume"
            )
        yield number, outcome


def _spread(
    numbers: list[int], task: Callable[[int], PairTask], executor: Executor
) -> Iterable[Any]:
    """The outcomes of the tasks, in order."""
    names = [f"chunk {number}" for number in numbers]
    tasks = [task(number) for number in numbers]
    return iterate_crystals(make_chunk, tasks, executor, names=names)
