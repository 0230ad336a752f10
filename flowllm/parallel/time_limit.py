"""A time limit for a piece of Python, wherever it runs."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeLimitError(Exception):
    """A time limit was exceeded."""


LONGEST = 1e7
"""Seconds beyond which no limit is set: timers count no further than some years."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeLimitError` inside the context when the time is up; None sets no limit.

    In the main thread of a process an alarm ends a waiting system call too. In another thread, as
    on a worker of a cluster, the error comes between two steps of Python. Neither ends compiled
    code that does not come back: for that the process itself has to be ended
    (`flowllm.parallel.pool.WorkerPool` does).
    """
    if seconds is None or seconds > LONGEST:
        yield
    elif threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        with _alarm(seconds):
            yield
    else:
        with _raised_in_thread(seconds):
            yield


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimitError(_message(seconds))

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _raised_in_thread(seconds: float) -> Iterator[None]:
    thread = threading.get_ident()
    lock, over = threading.Lock(), False

    def expire() -> None:
        with lock:  # either the work is over, or the error reaches it before it can be over
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(TimeLimitError)
                )

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
        with lock:
            over = True
    except TimeLimitError as error:
        raise TimeLimitError(_message(seconds)) from error
    finally:
        timer.cancel()
        over = True


def _message(seconds: float) -> str:
    return f"took longer than {seconds:g} s"
