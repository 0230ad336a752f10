"""CrystalTable: rows chosen by mouse or keyboard, sorted and paged in Python.

Only one page travels to the browser, so 10,000 rows open and answer as fast as ten. (`itables`
sends the whole table again for each filter, forgets the order and the page then, and its arrow keys
choose no row.)
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.part import Part

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
PAGE = 10


class CrystalTable(Part):
    """A table with one chosen row, and optionally picked rows.

    Arrow keys move the choice, Page Up and Page Down turn pages, Home and End go to the first and
    the last row, Space picks; a heading sorts, first rising, then falling, then as given.

    Args:
        rows: R rows.
        columns: names of columns that are shown, in their order; default all.
        labels: column -> heading; default the name with spaces.
        message: the line where its owner shows errors.
        label: what a screen reader calls the table.
        page: rows that are seen at once.
        pickable: whether rows have a box to tick.
        words: column -> how a value of it is written; it is sorted by the value all the same.

    Attributes:
        selected: place of the chosen row in `rows`, -1 for none; observable.
        picked: places of the picked rows, in the order of picking; observable.
    """

    _esm = HERE / "table.js"
    _css = HERE / "table.css"
    view = traitlets.Dict().tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)
    selected = traitlets.Int(-1)
    picked = traitlets.Tuple()

    def __init__(
        self,
        rows: pd.DataFrame,
        columns: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        message: MessageLine,
        label: str = "Crystals",
        page: int = PAGE,
        pickable: bool = False,
        words: Mapping[str, Callable[[Any], str]] | None = None,
    ) -> None:
        super().__init__()
        self.message = message
        self._labels, self._label = dict(labels or {}), label
        self._page_size, self._pickable = page, pickable
        self._words = dict(words or {})
        self._sort, self._falling, self._first = "", False, 0
        self._kept: np.ndarray | None = None
        self.on_msg(self._told)
        self.observe(lambda change: self._follow(), "selected")
        self.observe(lambda change: self._publish(), "picked")
        self.set_rows(rows, columns)

    # ---- what it shows ---------------------------------------------------------------------

    @property
    def rows(self) -> pd.DataFrame:
        """All rows, shown or not."""
        return self._rows

    @property
    def order(self) -> np.ndarray:
        """Positions of the listed rows, from top to bottom over all pages."""
        return self._order

    def set_rows(self, rows: pd.DataFrame, columns: Sequence[str] | None = None) -> None:
        """Replace the rows, and reset choice, picks and filter."""
        self._rows = rows
        self._columns = list(rows.columns if columns is None else columns)
        self._kept, self._first = None, 0
        if self._sort not in self._columns:
            self._sort, self._falling = "", False
        self._arrange()
        self.picked, self.selected = (), -1

    def update_rows(self, rows: pd.DataFrame, columns: Sequence[str]) -> None:
        """Replace columns; rows, choice and picks stay."""
        self._rows, self._columns = rows, list(columns)
        self._arrange()

    def keep(self, kept: np.ndarray) -> None:
        """List only some rows, given as (R,) bool."""
        self._kept, self._first = np.asarray(kept, dtype=bool), 0
        self._arrange()
        self._follow()

    def sort_by(self, column: str, falling: bool = False) -> None:
        """Sort by a column; rows without a value come last. "" is the order as given."""
        self._sort, self._falling, self._first = column, falling, 0
        self._arrange()

    def _arrange(self) -> None:
        places = np.arange(len(self._rows))
        if self._sort:
            places = (
                _sortable(self._rows[self._sort])
                .sort_values(ascending=not self._falling, kind="stable", na_position="last")
                .index.to_numpy()
            )
        self._order = places if self._kept is None else places[self._kept[places]]
        self._publish()

    def _follow(self) -> None:
        """Turn to the page of the chosen row, if it is listed."""
        found = np.flatnonzero(self._order == self.selected)
        if len(found):
            self._first = int(found[0]) // self._page_size * self._page_size
        self._publish()

    def _publish(self) -> None:
        self._first = min(self._first, max(0, len(self._order) - 1))
        self._first -= self._first % self._page_size
        shown = self._order[self._first : self._first + self._page_size]
        page = self._rows.iloc[shown]
        texts = [column_texts(page[name], self._words.get(name)) for name in self._columns]
        picked = set(self.picked)
        self.view = {
            "label": self._label,
            "pickable": self._pickable,
            "columns": [
                {
                    "name": name,
                    "label": self._labels.get(name, name.replace("_", " ")),
                    "number": is_number(self._rows[name]) and name not in self._words,
                }
                for name in self._columns
            ],
            "rows": [
                {"place": int(place), "texts": row, "picked": int(place) in picked}
                for place, row in zip(shown, map(list, zip(*texts, strict=True)), strict=True)
            ],
            "first": self._first,
            "size": self._page_size,
            "total": len(self._order),
            "all": len(self._rows),
            "selected": self.selected,
            "sort": self._sort,
            "falling": self._falling,
        }

    # ---- what the browser says -------------------------------------------------------------

    def _told(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        try:
            self._do(str(content.get("do")), content.get("with"))
        finally:
            # the browser waits with the next: keys that are held down don't pile up
            self.answered = int(content.get("number", 0))

    @shows_errors
    def _do(self, what: str, value: Any) -> None:
        if what == "select":
            self.selected = int(value)
        elif what == "move":
            self.move(int(value))
        elif what == "edge":
            self.selected = int(self._order[0 if value == "first" else -1])
        elif what == "page":
            self._first = max(0, self._first + int(value) * self._page_size)
            self._publish()
        elif what == "sort":
            if self._sort != value:
                self.sort_by(str(value))
            else:
                self.sort_by("" if self._falling else str(value), not self._falling)
        elif what == "pick":
            place = self.selected if int(value) < 0 else int(value)
            if place >= 0:
                self.toggle(place)

    def still(self) -> str:
        """The page of the table that is shown, for a page without a kernel."""
        view = self.view
        head = "".join(f"<th>{html.escape(c['label'])}</th>" for c in view["columns"])
        rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row['texts'])}</tr>"
            for row in view["rows"]
        )
        first, count, total = view["first"], len(view["rows"]), view["total"]
        rest = f"<p>Rows {first + 1} to {first + count} of {total:,}.</p>" if total > count else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{rest}"

    def move(self, by: int) -> None:
        """Choose a row further down (or up), the first if the chosen one is not listed."""
        if not len(self._order):
            return
        found = np.flatnonzero(self._order == self.selected)
        to = int(np.clip(found[0] + by, 0, len(self._order) - 1)) if len(found) else 0
        self.selected = int(self._order[to])

    def toggle(self, place: int) -> None:
        """Pick or unpick a row."""
        if place in self.picked:
            self.picked = tuple(each for each in self.picked if each != place)
        else:
            self.picked = (*self.picked, place)


def _sortable(column: pd.Series) -> pd.Series:
    """The column by place; ids that are numbers written as text sort as numbers."""
    import pandas as pd

    column = column.reset_index(drop=True)
    if column.dtype == object:
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.notna().all():
            return numbers
    return column


def is_number(column: pd.Series) -> bool:
    """Whether a column holds numbers and no flags."""
    import pandas as pd

    return bool(
        pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    )


def column_texts(column: pd.Series, words: Callable[[Any], str] | None = None) -> list[str]:
    """Values for display: flags as yes and no, three digits, missing ones empty.

    Args:
        column: the values.
        words: writes one that is not missing, where that is not as usual.
    """
    return [_text(value, words) for value in column.astype(object)]


def _text(value: Any, words: Callable[[Any], str] | None) -> str:
    import pandas as pd

    if value is None or pd.isna(value):
        return ""
    if words is not None:
        return words(value)
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:.3f}"
    return str(value)
