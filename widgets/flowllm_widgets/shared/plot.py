"""Charts: plotly's `FigureWidget`, whose front end is sent to a page once instead of with each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import ipywidgets
import plotly
import plotly.graph_objects as go
import traitlets

from flowllm_widgets.shared.part import CLASS, late_start


class Library(anywidget.AnyWidget):
    """plotly's front end, which charts name instead of holding it; never shown."""

    _esm = "export default {};"
    _shared: ClassVar[Library | None] = None
    code = traitlets.Unicode().tag(sync=True)

    @classmethod
    def shared(cls) -> Library:
        """The one of this kernel; a new one if it was closed."""
        if cls._shared is None or cls._shared.comm is None:
            cls._shared = cls(code=str(go.FigureWidget._esm))
        return cls._shared


class Plot(go.FigureWidget):
    """A chart that a page draws; changes of its traces and layout reach the page.

    As plotly's `FigureWidget`, but for its start: that sends 5 MB of code with every chart, which
    takes the browser a second or two each. And but for the pointer: clicks reach the kernel, its
    moves do not, so `on_hover` is never called.

    Args:
        figure: what it shows.
        bar: show plotly's bar of buttons.
        fit: follow the width of the box; `Frame` tells it of changes.

    Attributes:
        as_still: gives the figure that stands for it on a page without a kernel, as plain values of
            "data" and "layout"; itself if None.
    """

    as_still: Callable[[], dict[str, Any]] | None = None

    _esm = late_start(Path(__file__).parent / "plot.js")
    _library = traitlets.Instance(Library).tag(sync=True, **ipywidgets.widget_serialization)
    _complete = False
    _version = traitlets.Unicode(plotly.__version__).tag(sync=True)

    def __init__(self, figure: go.Figure, *, bar: bool = False, fit: bool = True) -> None:
        super().__init__(figure)
        config: dict[str, Any] = self._config  # type: ignore[has-type]
        self._config = {**config, "displayModeBar": bar, "responsive": fit}
        self.add_class(CLASS)
        self._complete = True
        self.open()

    def open(self) -> None:
        """Send the whole chart to the page.

        plotly's own tells it of an empty one first; what follows reaches a slow page after the
        chart is drawn, and one that began without `responsive` never follows its box.
        """
        if self._complete:
            super().open()

    def get_state(
        self, key: str | Collection[str] | None = None, drop_defaults: bool = False
    ) -> dict[str, Any]:
        """The state sent to the page, by default all of it; see ipywidgets.

        plotly's own keeps the traces of the beginning here, and a page that asks for all, as one
        that started late or was loaded again, would show those.
        """
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if key is None and self._complete:
            now = {"_widget_data": self._data, "_widget_layout": self._layout_obj._props}
            for name, value in now.items():
                state[name] = self.trait_metadata(name, "to_json")(deepcopy(value), self)
        return state

    @traitlets.default("_library")
    def _the_library(self) -> Library:
        return Library.shared()
