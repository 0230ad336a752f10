"""HistoryTable: rows of text, selectable by mouse or keys."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import traitlets

from flowllm_widgets.shared.part import Part

HERE = Path(__file__).parent


class HistoryTable(Part):
    """A table of which one row can be chosen.

    Attributes:
        label: what a screen reader calls it.
        columns: headings.
        rows: cells as text.
        selected: the row that is chosen; -1 is none.
    """

    _esm = HERE / "history.js"
    _css = HERE / "history.css"

    label = traitlets.Unicode().tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)

    def still(self) -> str:
        """The table, for a page without a kernel."""
        rows = [f"<tr>{_cells('th', self.columns)}</tr>"]
        rows += [f"<tr>{_cells('td', row)}</tr>" for row in self.rows]
        return f"<table>{''.join(rows)}</table>" if self.rows else ""


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)
