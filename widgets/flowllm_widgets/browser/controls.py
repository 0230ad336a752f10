"""The controls of a `Filter`."""

from __future__ import annotations

import math
from collections.abc import Callable

import ipywidgets

from flowllm_widgets.browser.catalogue import Catalogue
from flowllm_widgets.browser.filters import Filter, flags_of, groups_of, numbers_of, range_of
from flowllm_widgets.shared.messages import MessageLine, shows_errors

WIDTH, RANGE_WIDTH = "236px", "352px"
ALL, ANY, NONE = ("all", ""), ("all", -1), ("no column", "")
"""Entries that ask nothing; none has the value None, which a list shows as empty."""
STEPS = 200  # of the slider between the ends of a column


class FilterControls(ipywidgets.HBox):
    """Text, elements, flag, space group and the range of one column of numbers.

    Args:
        catalogue: what is filtered.
        labels: column -> what a person reads.
        changed: called after each change.
        message: the line where its owner shows errors.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        labels: dict[str, str],
        changed: Callable[[], None],
        message: MessageLine,
    ) -> None:
        self.message, self._labels, self._changed = message, labels, changed
        wide = {"style": {"description_width": "88px"}, "layout": {"width": WIDTH}}
        self.text = ipywidgets.Text(
            description="Id, formula", placeholder="part of it", continuous_update=True, **wide
        )
        self.elements = ipywidgets.Text(
            description="Contains", placeholder="Li, O", continuous_update=True, **wide
        )
        self.flag = ipywidgets.Dropdown(description="Only", options=[ALL], **wide)
        self.group = ipywidgets.Dropdown(description="Space group", options=[ANY], **wide)
        self.column = ipywidgets.Dropdown(description="Range of", options=[NONE], **wide)
        self.range = ipywidgets.FloatRangeSlider(
            description="from, to", readout_format=".3f", continuous_update=True,
            style={"description_width": "60px"}, layout={"width": RANGE_WIDTH},
        )  # fmt: skip
        self.clear = ipywidgets.Button(description="Clear filters", layout={"width": "120px"})
        super().__init__(
            [
                self.text, self.elements, self.flag, self.group, self.column, self.range, self.clear
            ],
            layout={"flex_flow": "row wrap", "align_items": "center", "overflow": "visible"},
        )  # fmt: skip
        self._busy = True
        self.offer(catalogue)
        self.column.observe(self._scale, "value")
        for control in (self.text, self.elements, self.flag, self.group, self.column, self.range):
            control.observe(self._tell, "value")
        self.clear.on_click(self._clear)
        self._busy = False

    @property
    def value(self) -> Filter:
        """The filter as set."""
        column = self.column.value or ""
        low, high = self.range.value
        # an end that was not moved leaves rows without a value in the list
        return Filter(
            self.text.value,
            self.elements.value,
            self.flag.value or "",
            column,
            low if column and low > self.range.min else -math.inf,
            high if column and high < self.range.max else math.inf,
            None if self.group.value == ANY[1] else self.group.value,
        )

    def offer(self, catalogue: Catalogue) -> None:
        """Fill the lists from a catalogue; the choice is kept if still available."""
        busy, self._busy = self._busy, True
        self._catalogue = catalogue
        flags = [
            (f"{prefix}{self._labels.get(name, name.replace('_', ' '))}", f"{prefix}{name}")
            for name in flags_of(catalogue)
            for prefix in ("", "not ")
        ]
        numbers = [
            (self._labels.get(name, name.replace("_", " ")), name) for name in numbers_of(catalogue)
        ]
        for control, options in (
            (self.flag, [ALL, *flags]),
            (self.group, [ANY, *groups_of(catalogue)]),
            (self.column, [NONE, *numbers]),
        ):
            chosen = control.value
            control.options = options
            if chosen in [value for _, value in options]:
                control.value = chosen
        if not self.column.value:
            self._scale()
        self._busy = busy

    def _scale(self, change: object = None) -> None:
        """The slider's ends are those of the column."""
        busy, self._busy = self._busy, True
        self.range.layout.display = "" if self.column.value else "none"
        low, high = (
            range_of(self._catalogue, self.column.value) if self.column.value else (0.0, 1.0)
        )
        high = max(high, low + 1e-3)
        # ends are set in an order in which the least never passes the greatest
        self.range.min, self.range.max = min(low, self.range.min), max(high, self.range.max)
        self.range.value = (low, high)
        self.range.min, self.range.max = low, high
        self.range.step = round((high - low) / STEPS, 6)
        self._busy = busy

    @shows_errors
    def _tell(self, change: object) -> None:
        if not self._busy:
            self._changed()

    @shows_errors
    def _clear(self, button: object) -> None:
        self._busy = True
        self.text.value = self.elements.value = ""
        self.flag.value, self.group.value, self.column.value = ALL[1], ANY[1], NONE[1]
        self._busy = False
        self._changed()
