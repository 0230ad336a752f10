"""A time limit for a piece of Python, wherever it runs."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeLimitError(Exception):
    """A time limit was exceeded."""


LONGEST = 1e7
"""Seconds beyond which no limit is set: timers count no further than some years."""
AGAIN = 0.05
"""Seconds after which a limit that expired during an import is looked at again."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeLimitError` inside the context when the time is up; None sets no limit.

    In the main thread of a process an alarm ends a waiting system call too. In another thread, as
    on a worker of a cluster, the error comes between two steps of Python. Neither ends compiled
    code that does not come back: for that the process itself has to be ended
    (`flowllm.parallel.pool.WorkerPool` does).

    An import is not interrupted but finished first: a module of which a half was run stays so, and
    everything that needs it afterwards would fail in this process.
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
    outside = _imports(sys._getframe())

    def expire(_signal: int, frame: FrameType | None) -> None:
        if _imports(frame) > outside:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
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
    outside = _imports(sys._getframe())

    def start(after: float) -> threading.Timer:
        timer = threading.Timer(after, expire)
        timer.daemon = True
        timer.start()
        return timer

    def expire() -> None:
        with lock:  # either the work is over, or the error reaches it before it can be over
            if over:
                return
            if _imports(sys._current_frames().get(thread)) > outside:
                start(AGAIN)
            else:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(TimeLimitError)
                )

    timer = start(seconds)
    try:
        yield
        with lock:
            over = True
    except TimeLimitError as error:
        raise TimeLimitError(_message(seconds)) from error
    finally:
        timer.cancel()
        over = True


def _imports(frame: FrameType | None) -> int:
    """How many steps of the import system are under way at a frame."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename.startswith("<frozen importlib")
        frame = frame.f_back
    return count


def _message(seconds: float) -> str:
    return f"took longer than {seconds:g} s"
