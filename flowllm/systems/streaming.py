"""A running system, event by event: conditions, tokens, the prior's crystals, refined ones.

`stream` gives the crystals of `FlowLLM.generate`: of one seed and the same settings, crystal i is
the same crystal.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _Closed(BaseException):
    """Raised in the worker thread when the reader has left."""


def pulled(work: Callable[[Callable[[T], None]], None]) -> Iterator[T]:
    """Turn a function that pushes values into an iterator that pulls them.

    The function runs in a thread of its own, and only while a value is waited for: each value that
    it pushes stops it until the next one is asked for. An iterator that is closed, or thrown away,
    ends the function at its next value.

    Args:
        work: called with the function that takes values.

    Yields:
        The values, in their order; what the function raises is raised at its place.
    """
    values: SimpleQueue[tuple[bool, T | BaseException | None]] = SimpleQueue()
    turns: SimpleQueue[bool] = SimpleQueue()

    def push(value: T) -> None:
        values.put((True, value))
        if not turns.get():
            raise _Closed

    def run() -> None:
        error: BaseException | None = None
        try:
            if turns.get():
                work(push)
        except _Closed:
            pass
        except BaseException as raised:
            error = raised
        values.put((False, error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        while True:
            turns.put(True)
            more, value = values.get()
            if not more:
                if isinstance(value, BaseException):
                    raise value
                return
            yield value  # type: ignore[misc]
    finally:
        turns.put(False)
        thread.join()
