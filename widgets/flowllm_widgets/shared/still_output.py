"""The output with the still of a widget, after that of the widget itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from IPython.display import display, update_display

CLASS = "flowllm-still"
"""Of every still in a notebook."""
NOTE = (
    '<p style="color:#6b7686;font-size:0.85em">A picture of the widget; '
    "run the cell to turn and change it.</p>"
)
# where a page trusts the notebook: no "model not found" above the still
INSTEAD = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .{name}):not(:has(.flowllm))"
    "{{display:none}}</style>"
)


class Still:
    """The still of one widget in a notebook.

    Attributes:
        css: rules that hide it; they belong into what is there only while the widget lives.
    """

    def __init__(self) -> None:
        self._name = f"{CLASS}-{secrets.token_hex(6)}"
        self._shown = False
        self.css = (
            f".{self._name},.jp-OutputArea-child:has(.{self._name}){{display:none!important}}"
        )

    def show(self, widget: dict[str, Any], still: Callable[[], str]) -> None:
        """Two outputs: the widget and its still.

        Args:
            widget: its mime bundle.
            still: gives the HTML.
        """
        # a program that knows no widgets shows the empty text, and below it the still
        display(widget | {"text/html": ""}, raw=True)
        display(self._bundle(still), raw=True, display_id=self._name)
        self._shown = True

    def renew(self, still: Callable[[], str]) -> None:
        """Replace it where it was shown."""
        if self._shown:
            update_display(self._bundle(still), raw=True, display_id=self._name)

    def _bundle(self, still: Callable[[], str]) -> dict[str, str]:
        hiding = INSTEAD.format(name=self._name)
        text = f'<div class="{CLASS} {self._name}">{hiding}{still()}{NOTE}</div>'
        return {"text/html": text, "text/plain": "a still of the widget above"}
