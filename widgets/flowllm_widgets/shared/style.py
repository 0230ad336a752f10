"""The look that all widgets share, in light and dark themes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import ipywidgets

from flowllm.viz.colours import COLOURS, GREY, see_through
from flowllm_widgets.shared.rest import AtRest
from flowllm_widgets.shared.still import still_html
from flowllm_widgets.shared.still_output import Still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["COLOURS", "GREY", "TEXT", "Panel", "themed"]

TEXT = "#6e7789"
"""Text and toolbar of charts that no style sheet colours: contrast 4.5 on white, 4.2 on #111."""
CLEAR = "rgba(0,0,0,0)"


@lru_cache(maxsize=1)
def _css() -> str:
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


class Panel(ipywidgets.VBox):
    """The outermost box of a widget: carries the class `flowllm` and the style sheet.

    Shown in a notebook it leaves two outputs: the widget, and behind it a still of it, which its
    style sheet hides as long as the widget lives. JupyterLab shows one form of an output only, of a
    widget the widget, with or without a kernel; so one output of two forms would be an error
    message in every notebook that is opened again. The still follows what a person does: it is
    exchanged when the widget has come to rest.

    Args:
        children: what is in it, from top to bottom.
    """

    def __init__(self, children: Sequence[ipywidgets.Widget] = ()) -> None:
        self._still = Still()
        self._changes = AtRest(self, self.renew_still)
        self._sheet = ipywidgets.HTML(f"<style>{_css()}{self._still.css}</style>")
        self._sheet.layout.display = "none"
        super().__init__([*children, self._sheet])
        self.add_class("flowllm")

    def fill(self, children: Sequence[ipywidgets.Widget]) -> None:
        """Replace its content."""
        self.children = (*children, self._sheet)

    def still(self) -> str:
        """The current widget as HTML for pages without a kernel."""
        return still_html(self)

    def renew_still(self) -> None:
        """Replace the still in the notebook by the current one.

        Of a panel inside another that of the other is exchanged.
        """
        for panel in list(_SHOWN):
            if _holds(panel, self):
                panel._still.renew(panel.still)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and for a page without widgets a still of it."""
        return super()._repr_mimebundle_(**kwargs) | {"text/html": self.still()}

    def _ipython_display_(self, **kwargs: Any) -> None:
        """Show the widget, and behind it the still."""
        _SHOWN.add(self)
        self._still.show(super()._repr_mimebundle_(), self.still)
        self._changes.watch()


_SHOWN: WeakSet[Panel] = WeakSet()
"""Panels that stand in a notebook by themselves."""


def _holds(box: ipywidgets.Widget, wanted: ipywidgets.Widget) -> bool:
    return box is wanted or any(_holds(child, wanted) for child in getattr(box, "children", ()))


def themed(figure: go.Figure, height: int = 300) -> go.Figure:
    """A figure for any background.

    The style sheet of a widget colours its text and grid; a chart of a notebook's own has no sheet.
    On a clear background plotly would paint its toolbar as on black, an opaque bar of pale icons.
    """
    figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"color": TEXT, "size": 12},
        modebar={"bgcolor": CLEAR, "color": TEXT, "activecolor": COLOURS[0]},
        margin={"l": 56, "r": 14, "t": 30, "b": 46},
        hoverlabel={"font": {"color": "#1f2733"}, "bgcolor": "#f5f7fa"},
    )
    grid = see_through(GREY, 0.3)
    figure.update_xaxes(gridcolor=grid, zeroline=False)
    figure.update_yaxes(gridcolor=grid, zeroline=False)
    return figure
