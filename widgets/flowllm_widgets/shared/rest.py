"""Detects when a widget has settled after a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ipywidgets
import traitlets

REST = 1.0  # seconds without a change


class AtRest:
    """Calls a function whenever a widget, children included, has changed and settled.

    In the event loop of the kernel; where there is none, as in a script, never. What plays or is
    being dragged changes all the time, so the function is not called meanwhile.

    Args:
        widget: any of ipywidgets; what it holds may be exchanged later.
        do: called without arguments.
        rest: seconds without a change.
    """

    def __init__(
        self, widget: ipywidgets.Widget, do: Callable[[], None], rest: float = REST
    ) -> None:
        self._widget, self._do, self._rest = widget, do, rest
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self) -> None:
        """Begin, where an event loop runs."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._listen(self._widget)

    def _listen(self, widget: Any) -> None:
        widget.observe(self._changed, traitlets.All)  # a second time changes nothing
        for child in getattr(widget, "children", ()):
            self._listen(child)

    def _changed(self, change: Any) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wait)  # work in the background changes widgets, too

    def _wait(self) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._rest, self._rested)

    def _rested(self) -> None:
        self._timer = None
        self._listen(self._widget)  # whatever came meanwhile
        self._do()
