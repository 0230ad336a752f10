"""Background work that does not block the kernel: one cancellable thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Cancelled(Exception):
    """Raised inside the work, at its next check, after `cancel` was called."""


class Stop:
    """Passed to the work, which checks it to see whether to continue."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the work to end."""
        self._event.set()

    @property
    def wanted(self) -> bool:
        """Whether the work should end."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise if the work should end.

        Raises:
            Cancelled: it should.
        """
        if self.wanted:
            raise Cancelled


class Background:
    """Runs work in a thread; a new piece cancels and replaces one that still runs.

    Callbacks run in that thread. Those of a piece that was replaced are not called any more, so an
    old result never overwrites a newer one.

    Args:
        failed: called with an exception that the work raised.
        finished: called at the end of the work, with whether it was cancelled.
    """

    def __init__(
        self,
        failed: Callable[[Exception], None],
        finished: Callable[[bool], None] = lambda cancelled: None,
    ) -> None:
        self._failed, self._finished = failed, finished
        self._thread: threading.Thread | None = None
        self._stop = Stop()
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether work is going on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[[Stop], None]) -> None:
        """Run the work with a `Stop` of its own."""
        with self._lock:
            self._stop.set()
            previous, stop = self._thread, Stop()
            self._stop = stop
            self._thread = threading.Thread(
                target=self._run, args=(work, stop, previous), daemon=True
            )
            self._thread.start()

    def cancel(self) -> None:
        """Ask the work to end at its next check."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the work has ended; False if it still runs after `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.running

    def _run(
        self, work: Callable[[Stop], None], stop: Stop, previous: threading.Thread | None
    ) -> None:
        if previous is not None:
            previous.join()  # two models at once would only slow each other down
        cancelled = False
        try:
            stop.check()
            work(stop)
        except Cancelled:
            cancelled = True
        except Exception as error:
            if self._stop is stop:
                self._failed(error)
        if self._stop is stop:
            self._finished(cancelled or stop.wanted)
