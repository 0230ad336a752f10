"""Making pairs: ask the prior for a target's composition, align, keep; resumable in chunks.

Each chunk is one task that any process can do and whose pairs depend on nothing else, so a run on
many processes, or one that was killed and started again, gives the same pairs to the bit. Chunks go
to disk as they come: memory does not grow with the number of pairs.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from flowllm.methods.flow.couplings.files import chunk_path, read_chunk, write_chunk
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.parallel.map import Failure, iterate_crystals
from flowllm.parallel.pool import WorkerPool
from flowllm.systems.decoding_figures import DecodingFigures
from flowllm.systems.protocols import Prior
from flowllm.training.device import used_threads

__all__ = ["build_pairs", "fingerprint", "sample_pairs", "sample_seed", "target_order"]

Progress = Callable[[int, int], None]
"""Called with (targets done, targets in all)."""
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
    progress: Progress | None = None,
    *,
    alignment: str = "translation",
) -> PairSet:
    """Pairs for training the flow (FlowLLM, section 3.3), written chunk by chunk and read again.

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
    progress: Progress | None = None,
    *,
    processes: int = 1,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Make the chunks of a plan that a folder lacks, on as many processes as there are.

    Draw number p takes the p-th target of an endless sequence of shuffled passes over the targets,
    so that each comes once before any comes twice.

    Args:
        targets: the training crystals c1.
        prior: what gives c0 for a composition; for other processes something that can be sent to
            them, best a function that loads the prior there.
        settings: passed on to the prior.
        out: folder for `chunk-XXXXX.npz`, `run.json` and `summary.json`.
        plan: which pairs.
        progress: called with (draws done, draws in all) after each chunk.
        processes: spawned ones, each with one thread; 1 computes in this one.
        executor: any `concurrent.futures` executor instead; it is not shut down.

    Returns:
        Counts, the mean squared torus distances per atom, and under "speed" what it took.

    Raises:
        InputError: no targets, `out` holds chunks of another run, or a chunk failed twice.
    """
    if not len(targets):
        raise InputError("pairs need targets")
    if processes < 1:
        raise InputError(f"processes must be at least 1, not {processes}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = {
        "targets": fingerprint(targets),
        "prior_settings": str(settings),
        **{name: value for name, value in vars(plan).items() if name != "num_pairs"},
    }
    _claim(out, run)
    order = target_order(len(targets), plan.num_pairs, plan.seed)
    total = _Total(plan.num_pairs, plan.chunk_size, progress)

    def chosen(number: int) -> np.ndarray:
        return order[number * plan.chunk_size : (number + 1) * plan.chunk_size]

    def task(number: int) -> PairTask:
        start = number * plan.chunk_size
        return PairTask(prior, targets[chosen(number)], start, settings, plan)

    processes = min(processes, total.chunks)  # one chunk is not worth a process of its own
    own = WorkerPool(processes) if executor is None and processes > 1 else None
    with own or nullcontext():
        for first in range(0, total.chunks, WAVE):
            missing = []
            for number in range(first, min(first + WAVE, total.chunks)):
                found = read_chunk(chunk_path(out, number), chosen(number))
                if found is None:
                    missing.append(number)
                else:
                    total.add(number, found)
            for number, made in _make(missing, task, executor or own):
                write_chunk(chunk_path(out, number), chosen(number), made)
                total.add(number, made, new=True)
    summary = total.summary(run, processes if executor is None else None)
    _write_json(out / "summary.json", summary)
    return summary


def chunk_files(out: Path, plan: PairPlan) -> list[Path]:
    """The files of a plan's chunks, in the order of the draws."""
    return [chunk_path(out, number) for number in range(-(-plan.num_pairs // plan.chunk_size))]


def fingerprint(crystals: CrystalBatch) -> str:
    """A hash of the crystals, to recognise a run's targets again."""
    digest = hashlib.sha256()
    for values in (crystals.ids, crystals.num_atoms, crystals.atomic_numbers, crystals.frac_coords):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


class _Total:
    """What all chunks together come to.

    Args:
        draws: draws in all.
        chunk_size: draws per chunk.
        progress: called after each chunk.
    """

    def __init__(self, draws: int, chunk_size: int, progress: Progress | None) -> None:
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
        """The record of the run; of its speed only where this run made a pair."""
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
    """Chunks as they come; on an executor one whose worker was lost gets a second try."""
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
                "the finished ones are kept, and the same command goes on"
            )
        yield number, outcome


def _spread(
    numbers: list[int], task: Callable[[int], PairTask], executor: Executor
) -> Iterable[Any]:
    """What became of the tasks, in their order."""
    names = [f"chunk {number}" for number in numbers]
    tasks = [task(number) for number in numbers]
    return iterate_crystals(make_chunk, tasks, executor, names=names)


def _claim(out: Path, run: dict[str, Any]) -> None:
    """Mark the folder as this run's, or see that it is."""
    path = out / "run.json"
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is damaged; choose another folder") from error
        other = [name for name, value in run.items() if before.get(name) != value]
        if other:
            raise InputError(
                f"{out} holds pairs of another run ({', '.join(other)} differ); choose another"
            )
    else:
        _write_json(path, run)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
