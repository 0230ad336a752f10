"""The chart of a sweep: validity, diversity and number of elements against temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from flowllm_widgets.playground.sweep import KINDS, Point
from flowllm_widgets.shared.style import COLOURS, themed

LINES = {
    "structure": ("structure", 1),
    "composition": ("composition", 1),
    "formulas": ("formulas", 2),
    "unique": ("unique", 2),
}
"""{field of a point: name in the legend, panel}."""
TITLES = ("Valid", "Distinct", "Number of elements")
# in order from one element to many, and none so light or dark that it drowns in a theme
SHADES = ("#8fc1ea", "#4f9be0", "#5f78dc", "#8f5cc7", "#b0489b")


def sweep_figure() -> go.Figure:
    """Three empty panels, to be filled from `sweep_values`."""
    figure = make_subplots(1, 3, subplot_titles=TITLES, horizontal_spacing=0.07)
    for name, (label, panel) in LINES.items():
        first = next(n for n, (_, p) in LINES.items() if p == panel) == name
        figure.add_scatter(
            x=[], y=[], name=label, mode="lines+markers", row=1, col=panel,
            line={"color": COLOURS[0 if first else 1], "dash": "solid" if first else "dot"},
            marker={"size": 11 if first else 7, "symbol": "circle" if first else "diamond"},
            legend="legend" if panel == 1 else f"legend{panel}",
            hovertemplate="τ %{x}: %{y:.0%}<extra>" + label + "</extra>",
            error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 3},
        )  # fmt: skip
    for kind in range(KINDS):
        label = f"{kind + 1}" + ("+" if kind + 1 == KINDS else "")
        figure.add_bar(
            x=[], y=[], name=label, row=1, col=3, marker={"color": SHADES[kind]},
            legend="legend3", hovertemplate="τ %{x}: %{y:.0%}<extra>" + label + "</extra>",
        )  # fmt: skip
    themed(figure, 300)
    figure.update_layout(barmode="stack", margin={"l": 44, "r": 10, "t": 34, "b": 86})
    figure.update_xaxes(title={"text": "temperature τ", "standoff": 6})
    figure.update_yaxes(range=[0, 1.05], tickformat=".0%")
    for panel in (1, 2, 3):
        axis = figure.layout["xaxis" if panel == 1 else f"xaxis{panel}"]
        figure.layout["legend" if panel == 1 else f"legend{panel}"] = {
            "orientation": "h", "x": sum(axis.domain) / 2, "xanchor": "center", "y": -0.26,
            "yanchor": "top", "itemwidth": 30, "traceorder": "normal",
        }  # fmt: skip
    return figure


def sweep_values(points: Sequence[Point]) -> list[tuple[list[float], list[float]]]:
    """x and y of each trace of `sweep_figure`, points in the order of their temperatures."""
    ordered = sorted(points, key=lambda point: point.temperature)
    x = [point.temperature for point in ordered]
    lines = [(x, [getattr(point, name) for point in ordered]) for name in LINES]
    bars = [(x, [point.nary[kind] / point.num for point in ordered]) for kind in range(KINDS)]
    return lines + bars


def sweep_errors(points: Sequence[Point]) -> list[dict[str, list[float]]]:
    """How far the 95 % intervals (Wilson) of the shares of each line reach up and down."""
    ordered = sorted(points, key=lambda point: point.temperature)
    rows = []
    for name in LINES:
        ends = [(getattr(p, name), *wilson(getattr(p, name), p.num)) for p in ordered]
        rows.append({
            "array": [high - share for share, _, high in ends],
            "arrayminus": [share - low for share, low, _ in ends],
        })  # fmt: skip
    return rows


def sweep_ticks(points: Sequence[Point]) -> dict[str, list[Any]]:
    """A tick below each temperature of the sweep."""
    chosen = sorted(point.temperature for point in points)
    return {"tickvals": chosen, "ticktext": [f"{t:g}" for t in chosen]}


def wilson(share: float, num: int) -> tuple[float, float]:
    """The 95 % interval of a share of `num`, which lies in 0 to 1 (Wilson, 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * num)) / (1 + z**2 / num)
    half = z / (1 + z**2 / num) * (share * (1 - share) / num + z**2 / (4 * num**2)) ** 0.5
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
