"""The crystals of a page: a sortable, filterable table with one crystal in 3-D."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from flowllm.viz.columns import Column
from flowllm.viz.crystal_data import page_drawing
from flowllm.viz.page import fill, script_json

ROWS = 2000
"""Rows in the table; a page stays under 15 MB."""
DRAWN = 300
"""Crystals that can be turned; a page of so many takes 6 MB."""
STYLES = ("crystal_table.css",)
SCRIPTS = ("crystal_view.js", "crystal_still.js", "crystal_player.js", "crystal_table.js")
"""What the page needs, see `flowllm.viz.page.render`."""


@dataclass(frozen=True)
class ShownCrystal:
    """The content of a page for one crystal.

    Attributes:
        drawing: as `flowllm.viz.crystal_data.page_crystal` gives it; None where it is not drawn.
        facts: name and value of each, below the drawing.
        beside: what stands beside it, as the nearest known crystal: a heading.
        beside_text: a line below that heading.
        beside_drawing: its drawing.
        text: its text in pieces, each with the probability that the language model gives it; None
            for what was given.
    """

    drawing: dict[str, Any] | None = None
    facts: Sequence[tuple[str, str]] = ()
    beside: str = ""
    beside_text: str = ""
    beside_drawing: dict[str, Any] | None = None
    text: Sequence[tuple[str, float | None]] = ()


@dataclass(frozen=True)
class CrystalTable:
    """A table of R crystals.

    Attributes:
        columns: of the table; one without any value is left out.
        values: name of a column -> R values; None where there is none.
        shown: what is shown of each row, by its position.
        elements: as `flowllm.viz.crystal_data.page_elements` gives them.
        first: the row that is shown at first.
        chosen: rows that stand as pictures above the table.
        total: of how many rows these are the first.
    """

    columns: Sequence[Column]
    values: Mapping[str, Sequence[Any]]
    shown: Mapping[int, ShownCrystal]
    elements: Mapping[int, Sequence[Any]]
    first: int | None = None
    chosen: Sequence[int] = field(default_factory=tuple)
    total: int = 0


def crystal_section(table: CrystalTable) -> Markup:
    """The section of a page; the page needs `STYLES` and `SCRIPTS`."""
    columns = [c for c in table.columns if any(v is not None for v in table.values[c.name])]
    count = max((len(table.values[c.name]) for c in table.columns), default=0)
    content = {
        "columns": [vars(column) for column in columns],
        "values": {c.name: [_plain(value) for value in table.values[c.name]] for c in columns},
        "shown": {str(row): _of(one) for row, one in table.shown.items()},
        "elements": dict(table.elements),
        "first": table.first,
        "chosen": list(table.chosen),
        **page_drawing(),
    }
    cut = "" if table.total <= count else f"The first {count} of {table.total}. "
    return fill("crystal_table.html", cut=cut, json=script_json(content))


def _of(one: ShownCrystal) -> dict[str, Any]:
    """A crystal as JSON, without missing values."""
    content = {
        "drawing": one.drawing,
        "facts": [list(pair) for pair in one.facts],
        "beside": [one.beside, one.beside_text, one.beside_drawing] if one.beside else None,
        "text": [[text, None if p is None else round(p, 4)] for text, p in one.text],
    }
    return {name: value for name, value in content.items() if value}


def drawn_rows(good: Iterable[int], others: Iterable[int], most: int = DRAWN) -> list[int]:
    """The rows to draw if not all can be: good ones first, then the others."""
    return [*good, *others][:most]


def _plain(value: Any) -> Any:
    """A JSON value, numbers with four decimals."""
    import pandas as pd

    if value is None or pd.isna(value):
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return str(value)
