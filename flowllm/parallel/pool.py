"""Processes for `flowllm.parallel.map`: one thread each, replaced when one dies or hangs."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from flowllm.parallel.main_guard import check_guard
from flowllm.parallel.time_limit import LONGEST

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
GRACE = 60.0  # seconds beyond its time that a function has before its process is ended


class WorkerPool(Executor):
    """Spawned processes; a context manager that always ends them.

    They start with the first piece of work, so a pool that gets none costs nothing.

    Args:
        workers: number of processes.

    Raises:
        InputError: on entering, a script that they would run again; see `parallel.main_guard`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __enter__(self) -> WorkerPool:
        from pebble import ProcessPool  # here, so that training runs where it is not installed

        check_guard()
        self._before = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)  # spawned processes read these before they load BLAS
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(self.workers, initializer=_start_worker, context=context)
        return self

    def submit(  # type: ignore[override]  # keywords of fn are not needed
        self, fn: Callable[..., Any], /, *args: Any, seconds: float | None = None
    ) -> Future:
        """Run fn(*args) in a process, which is killed if it takes much longer than `seconds`.

        Returns:
            A future; it raises pebble's ProcessExpired where the process died by itself and
            TimeoutError where it was ended.
        """
        timeout = None if seconds is None or seconds > LONGEST else seconds + GRACE
        return self._pool.schedule(fn, args, timeout=timeout)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._pool.close()
        else:  # Ctrl-C too: nothing that still runs is wanted any more
            self._pool.stop()
        self._pool.join()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Worker start-up: one thread, Ctrl-C left to the parent, exit with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    """Exit with the parent, which cannot close its pool if killed with -9."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
