"""DropField: a field for a file, which is dropped or picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import traitlets

from flowllm_widgets.shared.part import Part

HERE = Path(__file__).parent
LARGEST = 5_000_000
"""Bytes of a file that a page can send at once; a notebook's server takes no longer message."""


class DropField(Part):
    """Takes a file from the page: dropped, picked by mouse, or picked by keys.

    Args:
        brought: called with the name and the content of each file.
        label: what stands there, and what a screen reader reads.

    Attributes:
        label: what stands there.
        note: a line below it, such as the name of the last file.
        fault: whether that line is an error.
        largest: bytes of the largest file that is sent; of a larger one the field says so.
    """

    _esm = HERE / "drop.js"
    _css = HERE / "drop.css"

    label = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    fault = traitlets.Bool(False).tag(sync=True)
    largest = traitlets.Int(LARGEST).tag(sync=True)

    def __init__(self, brought: Callable[[str, bytes], None], label: str, **kwargs: Any) -> None:
        self._brought = brought
        super().__init__(label=label, **kwargs)
        self.on_msg(self._take)

    def say(self, note: str, fault: bool = False) -> None:
        """Write the line below, as an error or plainly."""
        with self.hold_sync():
            self.note, self.fault = note, fault

    def _take(self, _: Any, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        if content.get("do") == "bring" and buffers:
            self._brought(str(content.get("name", "")), bytes(buffers[0]))
