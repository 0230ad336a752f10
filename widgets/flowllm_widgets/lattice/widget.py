"""LatticePlayground: cells, their maps to unbounded coordinates, and straight lines in these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets
import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import CELL_MAPS, DEFAULT_CELL_MAP
from flowllm_widgets.lattice import figure
from flowllm_widgets.lattice.data import (
    ANGLES,
    PRINTED,
    Cell,
    CellPath,
    flat,
    held,
    interpolate,
    slopes,
)
from flowllm_widgets.lattice.fields import CellFields
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import Panel

WRITTEN = Cell((6.2, 4.6, 7.0), (80.0, 96.0, 104.0))
HEXAGONAL = Cell((5.0, 5.0, 8.0), (90.0, 90.0, 120.0))
FRAMES = 51
CSS = """
.lattice-text { color: var(--flowllm-text); line-height: 1.5; max-width: 78em; }
.lattice-numbers { border-collapse: collapse; color: var(--flowllm-text); line-height: 1.5; }
.lattice-numbers td, .lattice-numbers th {
  padding: 2px 16px 2px 0; text-align: right; border-bottom: 1px solid var(--flowllm-line);
  font-variant-numeric: tabular-nums; font-weight: 400;
}
.lattice-numbers th { color: var(--flowllm-muted); }
.lattice-numbers td:first-child, .lattice-numbers th:first-child { text-align: left; }"""
TEXT = """
The flow of the cell is a straight line in R⁶, so lengths and angles need coordinates without
bounds. FlowMM uses the lengths and, for each angle, <i>φ</i>(<i>η</i>) = logit((<i>η</i> − 59.9) /
60.2) (<b>flowmm</b>): cells of hexagonal and cubic crystals lie at 60° and 120°, where the curve
is steepest and a small error of an angle is a large one of <i>φ</i>. <b>logit</b> has wider
bounds, 50° and 130°, and log-lengths. <b>log-matrix</b>, the default here, takes the logarithm of
the stretch (<i>L L</i>ᵀ)<sup>½</sup>: its trace is the log-volume, and every point of R⁶ is a valid
cell (<code>flowllm.manifolds.CELL_MAPS</code>). FlowLLM's paper prints
logit((<i>η</i> − 60) / 120): a misprint, as it maps 120° to 0, the middle, and
its inverse reaches 180°."""


class LatticePlayground(Panel):
    """Two cells, the maps of their angles, and the path between them in each parametrisation.

    Args:
        crystal: its first crystal's cell is the start, its second one's, if there is one, the
            target.

    Raises:
        InputError: a batch of no crystals.
    """

    def __init__(self, *, crystal: CrystalBatch | None = None) -> None:
        super().__init__()
        if crystal is not None and not len(crystal):
            raise InputError("a batch of no crystals has no cell to start from")
        self.message = MessageLine()
        self._ready = False
        start = WRITTEN if crystal is None else Cell.of(crystal)
        target = HEXAGONAL if crystal is None or len(crystal) < 2 else Cell.of(crystal, 1)
        self.start = CellFields("Start (t = 0)", start, self._cells_changed)
        self.target = CellFields("Target (t = 1)", target, self._cells_changed)
        self.printed = ipywidgets.Checkbox(
            description="show the formula as printed in the paper", indent=False
        )
        self.angle = ipywidgets.ToggleButtons(
            options=[(name, index) for index, name in enumerate(ANGLES)], value=2,
            description="Angle", style={"button_width": "48px"},
        )  # fmt: skip
        self.t = ipywidgets.FloatSlider(
            0.5, min=0.0, max=1.0, step=0.02, description="t",
            style={"description_width": "14px"}, layout={"flex": "1 1 120px"},
        )  # fmt: skip
        self.play = ipywidgets.Play(min=0, max=FRAMES - 1, interval=80, show_repeat=False)
        self.cells, self.charts = figure.cell_figure(), figure.charts_figure()
        self.numbers = ipywidgets.HTML()
        self._lines: dict[str, CellPath] = {}
        self.printed.observe(self._printed_changed, "value")
        self.angle.observe(self._angle_changed, "value")
        self.t.observe(self._time_changed, "value")
        self.play.observe(self._played, "value")
        self._ready = True
        self._cells_changed()
        # Widgets only now: what is sent while the page still loads plotly may be lost.
        self.cells, self.charts = Plot(self.cells), Plot(self.charts)
        self._lay_out()

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the maps that are shown."""
        return (*CELL_MAPS, PRINTED) if self.printed.value else tuple(CELL_MAPS)

    def _lay_out(self) -> None:
        inputs = ipywidgets.HBox([self.start, self.target])
        for fields in (self.start, self.target):
            fields.layout.flex, fields.layout.padding = "1 1 205px", "0 10px 0 0"
        inputs.layout.flex, inputs.layout.flex_flow = "1 1 430px", "row wrap"
        time = ipywidgets.HBox([self.play, self.t])
        scene = ipywidgets.VBox([self.cells, time])
        charts = ipywidgets.VBox([self.charts])
        for box in (scene, charts):
            box.add_class("flowllm-fit")
        scene.layout.flex, scene.layout.min_width = "1 1 370px", "280px"
        above = ipywidgets.HBox([inputs, scene])
        choice = ipywidgets.HBox([self.angle, self.printed])
        for row in (above, choice):
            row.layout.flex_flow = "row wrap"
        text = ipywidgets.HTML(f'<div class="lattice-text">{TEXT}</div>')
        self.fill([text, above, self.message, choice, charts, self.numbers, Frame()])

    # ---- what changes what -----------------------------------------------------------------

    @shows_errors
    def _cells_changed(self) -> None:
        if not self._ready:
            return
        self.message.clear()
        start, target = self.start.cell, self.target.cell
        self._lines = {}
        if not start.problem and not target.problem:
            times = np.linspace(0.0, 1.0, FRAMES)
            self._lines = {name: interpolate(name, start, target, times) for name in self.shown}
        cells = [start, target]
        for line in self._lines.values():
            cells += [line.cell(index) for index in range(0, FRAMES, 5)]
        with self._one_redraw():
            if any(not cell.problem for cell in cells):
                figure.frame_cells(self.cells, cells)
            figure.update_paths(self.charts, self._lines)
            self._draw_curves()
            self._draw_time()

    @shows_errors
    def _printed_changed(self, change: Any) -> None:
        self._cells_changed()

    @shows_errors
    def _angle_changed(self, change: Any) -> None:
        with self._one_redraw():
            self._draw_curves()

    @shows_errors
    def _time_changed(self, change: Any) -> None:
        with self._one_redraw():
            self._draw_time()

    @shows_errors
    def _played(self, change: Any) -> None:
        self.t.value = self.play.value / (FRAMES - 1)

    @contextmanager
    def _one_redraw(self) -> Iterator[None]:
        """Send all changes of a figure in one message, for a single redraw."""
        with self.cells.batch_update(), self.charts.batch_update():
            yield

    def _draw_curves(self) -> None:
        start, target, which = self.start.cell, self.target.cell, self.angle.value
        figure.update_curves(self.charts, start, target, which, self.shown)
        self.numbers.value = numbers_table(start, target, which, self.shown)

    def _draw_time(self) -> None:
        index = round(self.t.value * (FRAMES - 1))
        moving = {name: line.cell(index) for name, line in self._lines.items()}
        figure.update_cells(self.cells, self.start.cell, self.target.cell, moving, DEFAULT_CELL_MAP)
        figure.update_time(self.charts, self.t.value)


def numbers_table(start: Cell, target: Cell, which: int, shown: tuple[str, ...]) -> str:
    """HTML: phi and its slope at both cells' angle, and cells that a map cannot hold."""
    letter = ANGLES[which]
    heads = ["map"]
    for name, cell in (("start", start), ("target", target)):
        heads += [f"{name}: φ({cell.angles[which]:g}°)", "slope per degree", "over that at 90°"]
    rows = []
    for name in shown:
        cells = [name]
        for cell in (start, target):
            if cell.problem:
                cells += ["–"] * 3
                continue
            square = Cell(cell.lengths, (90.0, 90.0, 90.0))
            here = slopes(name, cell, which, np.array([cell.angles[which]]))[0]
            middle = slopes(name, square, which, np.array([90.0]))[0]
            value = f"{flat(name, cell)[3 + which]:.3f}".replace("-", "−")
            cells += [value, f"{here:.3f}", f"{here / middle:.1f} ×"]
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    notes = "".join(
        f"<div>{name} cannot represent the {end}: it returns {_back(name, cell)}.</div>"
        for name in shown
        for end, cell in (("start", start), ("target", target))
        if not cell.problem and not held(name, cell)[1]
    )
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f"<style>{CSS}</style>"
        f'<div class="flowllm-heading">{letter} in each map</div>'
        f'<table class="lattice-numbers"><tr>{head}</tr>{body}</table>'
        f'<div class="flowllm-message warning">{notes}</div>'
    )


def _back(name: str, cell: Cell) -> str:
    back = held(name, cell)[0]
    return ", ".join(
        f"{letter} = {value:.1f}° for {wanted:.1f}°"
        for letter, value, wanted in zip(ANGLES, back.angles, cell.angles, strict=True)
        if abs(value - wanted) > 0.05
    ) or "another length"  # fmt: skip
