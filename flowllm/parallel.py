"""Run a function over crystals on any `concurrent.futures` executor, results in their order.

One item that raises does not stop the others: its place in the results holds a `Failure` with its
name and what went wrong. The default is a pool of spawned processes with one thread each; a script
that uses it needs the usual `if __name__ == "__main__":` guard.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flowllm.errors import InputError

Progress = Callable[[int, int], None]
"""Called as progress(done, total) from the calling process, never from a worker."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Failure:
    """What became of an item whose function raised.

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
    progress: Progress | None = None,
    chunk_size: int = 1,
    names: Sequence[str] | None = None,
) -> list[Any]:
    """fn(item) for every item, in the items' order; see `iterate_crystals`, which it collects."""
    return list(iterate_crystals(fn, items, executor, workers, progress, chunk_size, names))


def iterate_crystals(
    fn: Callable[[Any], Any],
    items: Iterable[Any],
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    chunk_size: int = 1,
    names: Sequence[str] | None = None,
) -> Iterator[Any]:
    """Yield fn(item), or its `Failure`, in the items' order as soon as each is there.

    Args:
        fn: a function that the executor can send (for processes: defined in a module).
        items: what it is called with, one at a time.
        executor: anything with `submit(fn, *args) -> Future`; it is not shut down. Without one a
            pool of `workers` spawned processes is made and closed again.
        workers: number of processes; default all cores; 1 runs in this process.
        progress: called after every chunk.
        chunk_size: items that travel together; more for functions of a few milliseconds.
        names: one name per item for the failures; default its place, counted from 0.

    Raises:
        InputError: workers or chunk_size below 1, names of another number than the items.
        RuntimeError: a worker process died, usually of too little memory.
    """
    if chunk_size < 1:
        raise InputError(f"chunk_size must be at least 1, not {chunk_size}")
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")
    parts = list(items)
    labels = [str(i) for i in range(len(parts))] if names is None else [str(n) for n in names]
    if len(labels) != len(parts):
        raise InputError(f"{len(labels)} names for {len(parts)} items")
    starts = range(0, len(parts), chunk_size)
    chunks = [(parts[s : s + chunk_size], labels[s : s + chunk_size]) for s in starts]
    return _iterate_chunks(fn, chunks, len(parts), executor, workers, progress)


def _iterate_chunks(
    fn: Callable[[Any], Any],
    chunks: list[tuple[list[Any], list[str]]],
    total: int,
    executor: Executor | None,
    workers: int | None,
    progress: Progress | None,
) -> Iterator[Any]:
    count = min(workers or available_cores(), len(chunks))
    done = 0
    if executor is None and count <= 1:
        for items, names in chunks:
            yield from run_chunk(fn, items, names)
            done += len(items)
            if progress:
                progress(done, total)
        return
    with _executor(executor, count) as (pool, window):
        pending: deque[Future] = deque()
        waiting = iter(chunks)
        try:
            while True:
                while window is None or len(pending) < window:
                    chunk = next(waiting, None)
                    if chunk is None:
                        break
                    pending.append(pool.submit(run_chunk, fn, *chunk))
                if not pending:
                    return
                results = pending[0].result()
                pending.popleft()
                yield from results
                done += len(results)
                if progress:
                    progress(done, total)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process died, perhaps of too little memory; try fewer workers"
            ) from error
        finally:
            if executor is not None:  # a pool of our own ends with its processes
                for future in pending:
                    future.cancel()


def run_chunk(fn: Callable[[Any], Any], items: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """fn of each item, a `Failure` where it raises; this is what workers run."""
    results: list[Any] = []
    for item, name in zip(items, names, strict=True):
        try:
            results.append(fn(item))
        except Exception as error:
            details = traceback.format_exc()
            results.append(Failure(name, type(error).__name__, str(error), details))
    return results


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _executor(given: Executor | None, workers: int) -> Iterator[tuple[Executor, int | None]]:
    """The executor and how many chunks to hand it at once; a pool of our own is closed at the end.

    A foreign executor gets everything at once: nobody but itself knows how wide it is.
    """
    if given is not None:
        yield given, None
        return
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # spawned processes read these before they load BLAS
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        yield pool, 4 * workers
    except BaseException:  # Ctrl-C too: nothing that still runs is wanted any more
        # and no future is cancelled: a pool that loses its processes trips over cancelled ones
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """One thread, deaf to Ctrl-C (the parent stops it), and gone when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    """End with the parent: killed with -9 it cannot close its pool, and workers would stay."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
