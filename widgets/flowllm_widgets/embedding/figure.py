"""The map as a plotly figure: one trace per system, rings around the chosen crystal."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm_widgets.embedding.data import NUMBERS, Points
from flowllm_widgets.shared.style import COLOURS, GREY, themed

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 560
SVG_UP_TO = 3_000  # points; more are drawn by WebGL
SYMBOLS = (
    "circle", "diamond", "square", "triangle-up", "x", "star", "cross", "triangle-down", "pentagon",
)  # fmt: skip
SIZES = (7, 8, 7, 8, 7, 9, 7, 8, 8)  # shapes of one size look unequal
RING = "#d6246e"
SCALE = ["#3f5fd0", "#2a93b8", "#35b68a", "#a8b83a", "#e8a21c"]
"""Low to high; every colour is legible on light and on dark."""


def embedding(points: Points) -> go.Figure:
    """The figure before anything is placed.

    Traces are S systems, the lines from the chosen crystal to its neighbours, the rings around it
    and the neighbour shown, and one without points that carries the colour bar.
    """
    import plotly.graph_objects as go

    figure = themed(go.Figure(), HEIGHT)
    kind = go.Scatter if len(points) <= SVG_UP_TO else go.Scattergl
    for place, name in enumerate(points.names):
        figure.add_trace(
            kind(
                x=[], y=[], mode="markers", name=name, customdata=[],
                marker={"symbol": SYMBOLS[place], "size": SIZES[place], "opacity": 0.8,
                        "color": COLOURS[place], "line": {"width": 0}},
                hovertemplate="%{customdata}<extra></extra>", hoverlabel={"align": "left"},
            )
        )  # fmt: skip
    quiet: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=[], y=[], mode="lines", line={"color": RING, "width": 1}, **quiet)
    figure.add_scatter(
        x=[], y=[], mode="markers", **quiet,
        marker={"symbol": "circle-open", "color": RING, "size": [20, 14], "line": {"width": 2.5}},
    )  # fmt: skip
    figure.add_scatter(
        x=[None], y=[None], mode="markers", marker={"color": [0], "showscale": False}, **quiet
    )
    figure.update_layout(
        margin={"l": 46, "r": 14, "t": 40, "b": 44},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "trace"},
        hovermode="closest",
        dragmode="zoom",
    )
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
    return figure


def hover_text(points: Points, place: int) -> str:
    """The hover text of a crystal."""
    row = points.rows.iloc[place]
    texts = (row["formula"], points.names[points.system[place]], row["id"], *points.facts(place))
    formula, system, *lines = (html.escape(str(text)) for text in texts)
    return "<br>".join([f"<b>{formula}</b> · {system}", *lines])


def colours(points: Points, column: str) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Colours of M crystals by a column, and the marker that carries the colour bar.

    Args:
        points: M crystals.
        column: "system", or one of `NUMBERS`.

    Returns:
        (M,) str, grey where there is no value; None for the systems' own colours.
    """
    if column == "system":
        return None, {"showscale": False}
    from plotly.colors import sample_colorscale

    values = points.number(column)
    known = np.isfinite(values)
    result = np.full(len(points), GREY, dtype=object)
    if not known.any():
        return result, {"showscale": False}
    low, high = np.quantile(values[known], [0.02, 0.98])
    high = high if high > low else low + 1.0
    result[known] = sample_colorscale(SCALE, np.clip((values[known] - low) / (high - low), 0, 1))
    bar = {
        "color": [low], "cmin": low, "cmax": high, "colorscale": SCALE, "showscale": True,
        "colorbar": {"title": {"text": NUMBERS[column], "side": "right"}, "thickness": 12,
                     "outlinewidth": 0},
    }  # fmt: skip
    return result, bar


def titles(method: str, shares: np.ndarray | None = None) -> tuple[str, str]:
    """Axis titles; for principal components, with their share of the variance."""
    if method == "umap" or shares is None:
        return "UMAP 1", "UMAP 2"
    first, second = (f"{100 * share:.0f} % of the variance" for share in shares)
    return f"principal component 1 ({first})", f"principal component 2 ({second})"


def rays(coords: np.ndarray, place: int, others: np.ndarray) -> dict[str, list[float | None]]:
    """Lines from one point to others, x and y with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    for other in others:
        x += [coords[place, 0], coords[other, 0], None]
        y += [coords[place, 1], coords[other, 1], None]
    return {"x": x, "y": y}
