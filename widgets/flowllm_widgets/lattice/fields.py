"""Sliders and number fields for the six parameters of a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from flowllm_widgets.lattice.data import Cell
from flowllm_widgets.shared.messages import MessageLine, shows_errors

NAMES = ("a", "b", "c", "α", "β", "γ")
LENGTHS, ANGLES = (1.5, 15.0), (30.0, 150.0)
"""Å and degrees that the sliders reach; a cell beyond widens them."""


class CellFields(ipywidgets.VBox):
    """Input fields for a cell, with an error line for impossible cells.

    Args:
        title: heading.
        cell: to begin with.
        changed: called after any change by a person or by `set`, once.
    """

    def __init__(self, title: str, cell: Cell, changed: Callable[[], None]) -> None:
        super().__init__()
        self.message = MessageLine()
        self._changed, self._quiet = changed, False
        self.sliders: list[ipywidgets.FloatSlider] = []
        self.numbers: list[ipywidgets.BoundedFloatText] = []
        rows = []
        for index, name in enumerate(NAMES):
            low, high = LENGTHS if index < 3 else ANGLES
            unit, step = ("Å", 0.05) if index < 3 else ("°", 0.5)
            about = {"min": low, "max": high, "value": (low + high) / 2}
            slider = ipywidgets.FloatSlider(
                step=step, description=name, readout=False, style={"description_width": "16px"},
                **about,
            )  # fmt: skip
            slider.layout.flex, slider.layout.min_width = "1 1 90px", "90px"
            number = ipywidgets.BoundedFloatText(
                step=step, description=unit, style={"description_width": "14px"}, **about
            )
            number.layout.width = "92px"
            slider.observe(self._slid, "value")
            number.observe(self._typed, "value")
            self.sliders.append(slider)
            self.numbers.append(number)
            rows.append(ipywidgets.HBox([slider, number]))
        heading = ipywidgets.HTML(f'<div class="flowllm-heading">{title}</div>')
        self.children = (heading, *rows, self.message)
        self.set(cell)

    @property
    def cell(self) -> Cell:
        """The cell as set."""
        a, b, c, alpha, beta, gamma = (float(number.value) for number in self.numbers)
        return Cell((a, b, c), (alpha, beta, gamma))

    def set(self, cell: Cell) -> None:
        """Set all six values."""
        self._quiet = True
        try:
            values = (*cell.lengths, *cell.angles)
            for slider, number, value in zip(self.sliders, self.numbers, values, strict=True):
                for control in (slider, number):
                    control.min, control.max = min(control.min, value), max(control.max, value)
                number.value = slider.value = round(value, 4)
        finally:
            self._quiet = False
        self._moved()

    @shows_errors
    def _slid(self, change: Any) -> None:
        # The front end gives 6.199999999999999 for 6.2.
        self.numbers[self.sliders.index(change["owner"])].value = round(change["new"], 4)

    @shows_errors
    def _typed(self, change: Any) -> None:
        self.sliders[self.numbers.index(change["owner"])].value = change["new"]
        self._moved()

    def _moved(self) -> None:
        if self._quiet:
            return
        problem = self.cell.problem
        if problem:
            self.message.error(problem)
        else:
            self.message.say(f"volume {self.cell.volume:.1f} Å³")
        self._changed()
