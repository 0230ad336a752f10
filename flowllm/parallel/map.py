"""Run a function over crystals on any `concurrent.futures` executor, with ordered results.

One item that raises does not stop the others: its place in the results holds a `Failure` with its
name and what went wrong. The default is a pool of spawned processes with one thread each; a script
that uses it needs the usual `if __name__ == "__main__":` guard, and is told so without.
"""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from flowllm.errors import InputError
from flowllm.parallel.pool import WorkerPool
from flowllm.parallel.time_limit import time_limit
from flowllm.runs.progress import ItemProgress
from flowllm.settings import check_workers


@dataclass(frozen=True)
class Failure:
    """The failure of an item whose function raised.

    Attributes:
        name: the item's name.
        kind: name of the exception's class, as in "InputError".
        message: the exception's message.
        details: the traceback as text, for a log.
    """

    name: str
    kind: str
    message: str
    details: str = ""

    def __str__(self) -> str:
        named = self.message.startswith(f"{self.name}:")
        text = self.message or self.kind
        return text if named else f"{self.name}: {text}"


def map_crystals(
    fn: Callable[[Any], Any],
    items: Iterable[Any],
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
    chunk_size: int = 1,
    names: Sequence[str] | None = None,
    seconds: float | None = None,
) -> list[Any]:
    """fn(item) for every item, in the items' order; see `iterate_crystals`, which it collects."""
    return list(
        iterate_crystals(fn, items, executor, workers, progress, chunk_size, names, seconds)
    )


def iterate_crystals(
    fn: Callable[[Any], Any],
    items: Iterable[Any],
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
    chunk_size: int = 1,
    names: Sequence[str] | None = None,
    seconds: float | None = None,
) -> Iterator[Any]:
    """Yield fn(item), or its `Failure`, in the items' order as soon as each is available.

    An item whose process dies is a `Failure` too, as is one that takes longer than it is given; the
    others of its chunk are done again without it.

    Args:
        fn: a function that the executor can send (for processes: defined in a module).
        items: what it is called with, one at a time.
        executor: anything with `submit(fn, *args) -> Future`; it is not shut down. Without one a
            pool of `workers` spawned processes is made and closed again.
        workers: number of processes; default all cores; 1 runs in this process.
        progress: called after every chunk.
        chunk_size: items that travel together; more for functions of a few milliseconds.
        names: one name per item for the failures; default its place, counted from 0.
        seconds: the longest that one item may take; None for as long as it likes.

    Raises:
        InputError: workers or chunk_size below 1, a time that is not positive, names of another
            number than the items.
        RuntimeError: the given executor broke.
    """
    if chunk_size < 1:
        raise InputError(f"chunk_size must be at least 1, not {chunk_size}")
    check_workers(workers)
    if seconds is not None and not seconds > 0:
        raise InputError(f"the time for one item must be positive, not {seconds:g} s")
    parts = list(items)
    labels = [str(i) for i in range(len(parts))] if names is None else [str(n) for n in names]
    if len(labels) != len(parts):
        raise InputError(f"{len(labels)} names for {len(parts)} items")
    starts = range(0, len(parts), chunk_size)
    chunks = [
        Batched(fn, parts[s : s + chunk_size], labels[s : s + chunk_size], seconds) for s in starts
    ]
    return _iterate_chunks(chunks, len(parts), executor, workers, progress)


def map_parts(
    fn: Callable[[Any], Any],
    items: Any,
    size: int,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
    seconds: float | None = None,
) -> list[tuple[Any, Any]]:
    """fn of parts of `size` items each, for functions that are faster on many items together.

    A part that raises, or takes too long, is done again item by item, so that one bad item costs
    no other its result.

    Args:
        fn: called with a part.
        items: a sequence whose slices are parts, as a CrystalBatch.
        size: items a part.
        executor: as in `iterate_crystals`.
        workers: as there.
        progress: called as progress(done, total) with items.
        seconds: the longest that a part may take, and afterwards each item of one that failed.

    Returns:
        (part, fn(part)) in the items' order; a part of one item may have a `Failure`.
    """
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    ends = [min(len(items), (k + 1) * size) for k in range(len(parts))]

    def report(done: int, _total: int) -> None:
        if progress and done:
            progress(ends[done - 1], len(items))

    found = map_crystals(fn, parts, executor, workers, report, seconds=seconds)
    result: list[tuple[Any, Any]] = []
    for part, outcome in zip(parts, found, strict=True):
        if isinstance(outcome, Failure) and len(part) > 1:
            alone = [part[k : k + 1] for k in range(len(part))]
            again = map_crystals(fn, alone, executor, workers, seconds=seconds)
            result += zip(alone, again, strict=True)
        else:
            result.append((part, outcome))
    return result


@dataclass(frozen=True)
class Batched:
    """Items sent to a worker together.

    Attributes:
        fn: what is called with each.
        items: the items.
        names: their names.
        seconds: the longest that one may take.
    """

    fn: Callable[[Any], Any]
    items: list[Any]
    names: list[str]
    seconds: float | None

    def run(self) -> list[Any]:
        """fn of each item, a `Failure` where it raises; this is what workers run."""
        results: list[Any] = []
        for item, name in zip(self.items, self.names, strict=True):
            try:
                with time_limit(self.seconds):
                    results.append(self.fn(item))
            except Exception as error:
                details = traceback.format_exc()
                results.append(Failure(name, type(error).__name__, str(error), details))
        return results

    def singly(self) -> list[Batched]:
        """A chunk for each item."""
        return [
            Batched(self.fn, [item], [name], self.seconds)
            for item, name in zip(self.items, self.names, strict=True)
        ]

    def submit(self, pool: WorkerPool | Executor) -> Future:
        """Submit the chunk; our own pool also kills a process that does not return."""
        if isinstance(pool, WorkerPool):
            limit = None if self.seconds is None else self.seconds * len(self.items)
            return pool.submit(self.run, seconds=limit)
        return pool.submit(self.run)


def _iterate_chunks(
    chunks: list[Batched],
    total: int,
    executor: Executor | None,
    workers: int | None,
    progress: ItemProgress | None,
) -> Iterator[Any]:
    count = min(workers or available_cores(), len(chunks))
    done = 0
    if executor is None and count <= 1:
        for chunk in chunks:
            yield from chunk.run()
            done += len(chunk.items)
            if progress:
                progress(done, total)
        return
    pool: AbstractContextManager[WorkerPool | Executor]
    pool = WorkerPool(count) if executor is None else nullcontext(executor)
    # a foreign executor gets everything at once: nobody but itself knows how wide it is
    window = 4 * count if executor is None else len(chunks)
    pending: deque[tuple[Batched, Future]] = deque()
    waiting = iter(chunks)
    with pool as running:
        try:
            while True:
                while len(pending) < window and (coming := next(waiting, None)) is not None:
                    pending.append((coming, coming.submit(running)))
                if not pending:
                    return
                chunk, future = pending[0]
                results = _results(chunk, future, running)
                pending.popleft()
                yield from results
                done += len(results)
                if progress:
                    progress(done, total)
        finally:
            if executor is not None:  # a pool of our own ends with its processes
                for _, future in pending:
                    future.cancel()


def _results(chunk: Batched, future: Future, pool: WorkerPool | Executor) -> list[Any]:
    """The results of a chunk's items; if its worker was lost, each is retried alone."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process died, perhaps for lack of memory; try fewer workers"
        ) from error
    except CancelledError:
        raise
    except Exception as error:  # of the executor: `run` itself keeps what the items raise
        if len(chunk.items) == 1:
            return [_lost(chunk, error)]
    alone = chunk.singly()
    return [result for part in alone for result in _results(part, part.submit(pool), pool)]


def _lost(chunk: Batched, error: Exception) -> Failure:
    """Why the worker of a single item never answered."""
    if isinstance(error, TimeoutError):
        message = f"took longer than {chunk.seconds:g} s; its process was killed"
        return Failure(chunk.names[0], "TimeLimitError", message)
    message = "its worker process died, perhaps for lack of memory"
    return Failure(chunk.names[0], type(error).__name__, message, str(error))


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
