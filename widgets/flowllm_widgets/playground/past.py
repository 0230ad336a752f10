"""PastTries: the history of tries, from which one can be restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from flowllm_widgets.playground.history import HistoryTable
from flowllm_widgets.playground.tries import Try, columns, table

HEADING = "Tries (choose one to restore its settings and crystals)"


class PastTries(ipywidgets.VBox):
    """A table of tries, hidden until the first has ended.

    Args:
        sampling: class of the prior's settings.
        refinement: class of the refiner's settings; None where there is none.
        chosen: called with the place of a try that is chosen.

    Attributes:
        table: the `HistoryTable`.
        shown: the place of the try on view; -1 for none.
    """

    def __init__(
        self, sampling: type[Any], refinement: type[Any] | None, chosen: Callable[[int], None]
    ) -> None:
        self.shown = -1
        self._chosen = chosen
        self.table = HistoryTable(label="Tries", columns=list(columns(sampling, refinement)))
        self.table.observe(self._choose, "selected")
        super().__init__([heading(HEADING), self.table], layout={"display": "none"})

    def write(self, tries: Sequence[Try]) -> None:
        """List tries; the one on view is marked."""
        with self.table.hold_trait_notifications():
            self.table.rows = table(tries)
            self.table.selected = self.shown
        self.layout.display = ""

    def _choose(self, change: dict[str, int]) -> None:
        place = change["new"]
        if place != self.shown and 0 <= place < len(self.table.rows):
            self.shown = place
            self._chosen(place)


def heading(text: str) -> ipywidgets.HTML:
    """A heading above a part of the playground."""
    return ipywidgets.HTML(f'<div class="flowllm-heading">{text}</div>')
