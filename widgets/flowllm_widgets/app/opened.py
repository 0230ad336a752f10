"""Opened: reports when a page is displayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowllm_widgets.shared.part import Part


class Opened(Part):
    """An invisible part that calls a function once, when a page draws it.

    A page that is just loading may miss what a widget is told meanwhile.

    Args:
        call: what is called.
    """

    _esm = Path(__file__).parent / "opened.js"

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call
        super().__init__()
        self.on_msg(self._hear)

    def _hear(self, _: Any, content: dict[str, Any], __: Any) -> None:
        call, self._call = self._call, None
        if content.get("do") == "opened" and call is not None:
            call()
