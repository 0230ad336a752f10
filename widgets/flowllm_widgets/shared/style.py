"""The look that all widgets share, in light and dark themes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets

from flowllm.viz.colours import COLOURS, GREY, see_through

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

    Args:
        children: what is in it, from top to bottom.
    """

    def __init__(self, children: Sequence[ipywidgets.Widget] = ()) -> None:
        self._sheet = ipywidgets.HTML(f"<style>{_css()}</style>")
        self._sheet.layout.display = "none"
        super().__init__([*children, self._sheet])
        self.add_class("flowllm")

    def fill(self, children: Sequence[ipywidgets.Widget]) -> None:
        """Exchange what is in it."""
        self.children = (*children, self._sheet)


def themed(figure: go.Figure, height: int = 300) -> go.Figure:
    """A figure that lies on any background.

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
