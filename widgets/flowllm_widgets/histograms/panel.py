"""Base of the histograms: selectable bars, the crystals of a bar, and one in 3-D."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from flowllm_widgets.browser.table import CrystalTable
from flowllm_widgets.histograms.data import bin_text, left_out, systems_of
from flowllm_widgets.histograms.figure import bars, emphasis, histogram
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import COLOURS, Panel
from flowllm_widgets.structure.view import StructureView

if TYPE_CHECKING:
    from flowllm.evaluation import Report

LABELS = {
    "e_above_hull": "E_hull (eV/atom)",
    "n_elements": "elements",
    "valid_structure": "structure valid",
    "valid_composition": "composition valid",
    "novel_relaxed": "novel",
    "sun": "S.U.N.",
}
ROWS = 8


class HistogramPanel(Panel):
    """Systems over each other in one column's bins.

    Args:
        reports: one to six evaluations.
        column: which column.
        threshold: where the line stands; None for no line.
        listed: columns of the list of crystals, as far as there are some.

    Raises:
        InputError: no report, too many, or none that has the column.
    """

    def __init__(
        self,
        reports: Sequence[Report],
        column: str,
        threshold: float | None = None,
        listed: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.systems = systems_of(reports, column)
        behind = next((report for report in reports if column in report.data), None)
        data = behind.data[column] if behind else []
        self.message = MessageLine()
        name = behind.data_name or "data" if behind else ""
        self.figure = Plot(histogram(self.systems, data, name, threshold))
        # a line can be moved at once; the parts of a figure that are not lines have no handles
        self.figure._config = {
            **self.figure._config,
            "edits": {"shapePosition": threshold is not None},
            "doubleClick": False,
        }
        self.plot = ipywidgets.VBox([self.figure])
        self.plot.add_class("flowllm-fit")
        self._bars = self.figure.data[-len(self.systems) :]
        self._listed = [
            c for c in ("id", "formula", column, *listed) if any(c in s.rows for s in self.systems)
        ]
        self.kept = [np.ones(len(system.rows), dtype=bool) for system in self.systems]
        wide = {"style": {"description_width": "54px"}}
        self.system = ipywidgets.Dropdown(
            description="System",
            options=[(system.name, place) for place, system in enumerate(self.systems)],
            layout={"width": "230px"},
            **wide,
        )
        self.bin = ipywidgets.Dropdown(description="Bar", layout={"width": "236px"}, **wide)
        self.counts = ipywidgets.HTML()
        self.about = ipywidgets.HTML()
        self.left_out = MessageLine()
        if absent := left_out(reports, self.systems):
            self.left_out.warning(absent)
        self.table = CrystalTable(
            self._rows(0, []), message=self.message, label="Crystals in the bar", page=ROWS,
            labels=LABELS,
        )  # fmt: skip
        self.view = StructureView(height=300)
        self._filling = False
        for place, trace in enumerate(self._bars):
            trace.on_click(lambda _, points, state, place=place: self._clicked(place, points))
        self.system.observe(lambda change: self._offer_bins(), "value")
        self.bin.observe(lambda change: self._list(), "value")
        self.table.observe(lambda change: self._show(), "selected")
        self._offer_bins()

    def layout_below(self) -> list[ipywidgets.Widget]:
        """The widgets below the figure: the choice of a bar, its crystals, and one in 3-D."""
        row = {"flex_flow": "row wrap", "overflow": "visible", "align_items": "flex-start"}
        left = ipywidgets.VBox(
            [ipywidgets.HBox([self.system, self.bin], layout=row), self.about, self.table],
            layout={"flex": "1 1 400px", "min_width": "320px", "overflow": "visible"},
        )
        self.view.layout.flex, self.view.layout.min_width = "1 1 300px", "280px"
        beside = ipywidgets.HBox([left, self.view], layout=row)
        return [self.counts, self.left_out, self.message, beside, Frame()]

    def choose(self, system: int, at: int) -> None:
        """Choose a bar, by the place of the system and the place of the bin.

        Raises:
            IndexError: there is no such system.
        """
        self.systems[system]
        self._filling = True
        self.system.value = system
        self._filling = False
        self._offer_bins(at)

    @shows_errors
    def keep(self, kept: Sequence[np.ndarray]) -> None:
        """Show only some rows of each system, given as (R,) bool each."""
        self.kept = list(kept)
        with self.figure.batch_update():
            for trace, system, mask in zip(self._bars, self.systems, self.kept, strict=True):
                trace.update(bars(system, mask))
        self._offer_bins()

    def table_of(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """A table with one row per system, as HTML, its colour before its name."""
        head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in heads)
        body = ""
        for place, cells in enumerate(rows):
            colour = COLOURS[self.systems[place].place]
            dot = f'<span aria-hidden="true" style="color:{colour}">■</span> '
            first = f'<th scope="row">{dot}{html.escape(self.systems[place].name)}</th>'
            body += f"<tr>{first}{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        return (
            "<style>.flowllm-counts{border-collapse:collapse;color:var(--flowllm-text);"
            "line-height:1.5}.flowllm-counts th,.flowllm-counts td{padding:1px 14px 1px 0;"
            "text-align:left}.flowllm-counts thead th{color:var(--flowllm-muted);"
            "font-weight:400}</style>"
            f'<table class="flowllm-counts"><thead><tr><th scope="col">system</th>{head}</tr>'
            f"</thead><tbody>{body}</tbody></table>"
        )

    # ---- what a person does ----------------------------------------------------------------

    @shows_errors
    def _clicked(self, place: int, points: Any) -> None:
        if points.point_inds:  # plotly tells all traces of a click on one of them
            self.choose(place, int(points.point_inds[0]))

    @shows_errors
    def _offer_bins(self, at: int | None = None) -> None:
        """Fill the list of bars; by default the bar stays, or the fullest is chosen."""
        if self._filling:
            return
        place = self.system.value
        system = self.systems[place]
        counts = system.counts(self.kept[place])
        options = [
            (f"{bin_text(system.column, b)} ({counts[b]:,})", int(b))
            for b in np.flatnonzero(counts)
        ]
        there = [value for _, value in options]
        asked = self.bin.value if at is None else at
        self._filling = True
        self.bin.options = options
        if there:
            self.bin.value = asked if asked in there else int(np.argmax(counts))
        self._filling = False
        self._list()

    @shows_errors
    def _list(self) -> None:
        if self._filling:
            return
        self.message.clear()
        place, at = self.system.value, self.bin.value
        system = self.systems[place]
        found = np.zeros(0, np.int64) if at is None else system.in_bin(at, self.kept[place])
        self._found = found
        with self.figure.batch_update():
            for number, (trace, each) in enumerate(zip(self._bars, self.systems, strict=True)):
                trace.marker.update(emphasis(each, at if number == place else None))
        what = {0: "No crystal", 1: "The crystal"}.get(len(found), f"The {len(found):,} crystals")
        keys = "; the arrow keys step through them" if len(found) > 1 else ""
        self.about.value = f'<div class="flowllm-caption">{what} in the bar{keys}.</div>'
        rows = self._rows(place, found)
        self.table.set_rows(rows, list(rows.columns))
        if len(found):
            self.table.selected = 0
        else:
            self.view.show(None)

    @shows_errors
    def _show(self) -> None:
        if self.table.selected < 0:
            return
        place = self.system.value
        system, row = self.systems[place], int(self._found[self.table.selected])
        about = system.rows.iloc[row]
        value = system.values[row]
        text = f"E_hull {value:.3f} eV/atom" if system.column == "e_above_hull" else ""
        given = "as given, before relaxation by CHGNet" if text else ""
        parts = [str(about["id"]), str(about["formula"]), text, system.name, given]
        self.view.show(system.crystal(row), " · ".join(part for part in parts if part))

    def _rows(self, place: int, found: Any) -> Any:
        rows = self.systems[place].rows
        return rows.loc[found, [c for c in self._listed if c in rows]].reset_index(drop=True)
