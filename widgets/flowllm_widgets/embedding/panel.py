"""Beside the map: the chosen crystal and its nearest ones of other systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
import numpy as np

from flowllm_widgets.embedding.data import Points
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.structure.view import StructureView

HEIGHT = 225  # of each picture, in pixels


class CrystalPanel(ipywidgets.VBox):
    """The chosen crystal, a list of its neighbours, and one of them.

    Args:
        points: the crystals.
        message: where errors appear.
        choose: called with the place of a crystal that a person wants to see.
        marked: called with the chosen crystal, its neighbours and the one that is shown, or None,
            when they change.

    Attributes:
        find: the field in which a crystal is chosen by name.
        nearest: the list of neighbours.
        go: the button that makes the neighbour the chosen crystal.
        view, other: the chosen crystal and the neighbour in 3-D.
    """

    def __init__(
        self,
        points: Points,
        message: MessageLine,
        choose: Callable[[int], None],
        marked: Callable[[int, np.ndarray, int | None], None],
    ) -> None:
        self.message = message
        self._points, self._choose, self._marked = points, choose, marked
        self._places: dict[str, int] = {}
        self._chosen: int | None = None
        self._others = np.zeros(0, dtype=np.int64)
        self._busy = False  # set while the panel itself changes its controls
        wide = {"layout": {"width": "auto"}, "style": {"description_width": "60px"}}
        self.find = ipywidgets.Combobox(
            description="Crystal", placeholder="type a formula, or click in the map", **wide
        )
        self.nearest = ipywidgets.Select(description="Nearest", rows=5, **wide)
        self.go = ipywidgets.Button(
            description="Go to this neighbour", disabled=True, layout={"width": "auto"}
        )
        self.view, self.other = StructureView(height=HEIGHT), StructureView(height=HEIGHT)
        self.find.observe(self._found, "value")
        self.nearest.observe(self._show_neighbour, "value")
        self.go.on_click(self._go)
        super().__init__([self.find, self.view, self.nearest, self.go, self.other])

    def offer(self, places: np.ndarray) -> None:
        """Offer these crystals for choice."""
        self._places = {self._points.label(int(place)): int(place) for place in places}
        self.find.options = sorted(self._places)

    def show(self, place: int, others: np.ndarray, distances: np.ndarray) -> None:
        """Show a crystal, and others with their distances from it, nearest first."""
        label = self._points.label(place)
        options = [
            (f"{distance:.2f} · {self._points.name(int(other))}", int(other))
            for other, distance in zip(others, distances, strict=True)
        ]
        self._busy = True
        self.find.value = label
        self.nearest.options = options
        self.nearest.value = options[0][1] if options else None
        self._busy = False
        self.go.disabled = not options
        if place != self._chosen:
            self.view.show(self._points.crystals[place], self._caption(place))
        self._chosen, self._others = place, others
        self._show_neighbour()

    def _caption(self, place: int) -> str:
        return " · ".join([self._points.label(place), *self._points.facts(place)])

    @shows_errors
    def _found(self, change: dict[str, Any]) -> None:
        place = self._places.get(change["new"])
        if place is not None and not self._busy:
            self._choose(place)

    @shows_errors
    def _go(self, button: object) -> None:
        if self.nearest.value is not None:
            self._choose(self.nearest.value)

    @shows_errors
    def _show_neighbour(self, change: object = None) -> None:
        if self._busy or self._chosen is None:
            return
        other = self.nearest.value
        if other is None:
            self.other.show(None)
        else:
            self.other.show(self._points.crystals[other], self._caption(other))
        self._marked(self._chosen, self._others, other)
