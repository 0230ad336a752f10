"""Small plots over a shared t, with marks for the current frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm_widgets.shared.style import COLOURS, GREY, themed
from flowllm_widgets.trajectory.data import EnergyCurve, TrajectoryCurves

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS, ROWS = 2, 3
HEIGHT = 400
TICKS = 5  # along an axis that is not t
ENERGY_TITLE, NO_ENERGY = "CHGNet energy", "not computed"


@dataclass(frozen=True)
class Plot:
    """One small plot of `TrajectoryCurves`.

    Attributes:
        title: what stands above it.
        values: (T,) of the curve.
        text: the value at a frame, for the title.
        hover: the value beside the pointer; None takes `text`.
        steps: whether a value holds until the next frame, as speeds do.
    """

    title: str
    values: Callable[[TrajectoryCurves], np.ndarray]
    text: Callable[[TrajectoryCurves, int], str]
    hover: Callable[[TrajectoryCurves, int], str] | None = None
    steps: bool = False


PLOTS = (
    Plot(
        "shortest distance",
        lambda c: c.shortest_distance,
        lambda c, k: _number(c.shortest_distance[k], "Å"),
    ),
    Plot(
        "volume",
        lambda c: c.volume,
        lambda c, k: _number(c.volume[k], "Å³"),
        lambda c, k: f"{_number(c.volume[k], 'Å³')}<br>{c.volume_per_atom[k]:.2f} Å³ per atom",
    ),
    Plot(
        "path",
        lambda c: c.path_length,
        lambda c, k: f"{c.path_length[k]:.3g}, straight {c.geodesic_length[k]:.3g}",
    ),
    Plot(
        "speed of atoms",
        lambda c: c.atom_speed_cartesian,
        lambda c, k: _number(c.atom_speed_cartesian[k], "Å per t", "3g"),
        lambda c, k: (
            f"{_number(c.atom_speed_cartesian[k], 'Å per t', '3g')}<br>"
            f"{_number(c.atom_speed[k], 'fractional per t', '3g')}"
        ),
        steps=True,
    ),
    Plot(
        "speed of lattice",
        lambda c: c.lattice_speed,
        lambda c, k: _number(c.lattice_speed[k], "per t", "3g"),
        steps=True,
    ),
)
"""All but the last plot, which is that of the energy."""

PATH, ENERGY = 2, len(PLOTS)


def make_figure(curves: TrajectoryCurves, energy: EnergyCurve | None = None) -> go.Figure:
    """The six plots. Traces: one for each of `PLOTS`, the energy, and the straight path.

    Args:
        curves: T frames.
        energy: eV/atom; None leaves its plot empty.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        ROWS, COLUMNS, shared_xaxes="all", horizontal_spacing=0.12, vertical_spacing=0.13
    )
    for place in range(ENERGY + 1):
        steps = place < ENERGY and PLOTS[place].steps
        line = {"color": COLOURS[0], "width": 2, "shape": "hv" if steps else "linear"}
        figure.add_scatter(line=line, **_axes(place))
    dashed = {"color": GREY, "width": 2, "dash": "dot"}
    figure.add_scatter(line=dashed, **_axes(PATH))
    figure.update_traces(mode="lines", showlegend=False, hoverinfo="text")
    themed(figure, HEIGHT)
    figure.update_xaxes(fixedrange=True, nticks=6)
    figure.update_xaxes(title={"standoff": 4}, row=ROWS)
    figure.update_yaxes(fixedrange=True, nticks=4, exponentformat="none")
    # a click anywhere in a plot is one at the nearest t
    figure.update_layout(hovermode="x", hoverdistance=-1, dragmode=False)
    figure.update_layout(margin={"l": 48, "r": 12, "t": 26, "b": 40})
    for trace, change in zip(figure.data, trace_changes(curves, energy), strict=True):
        trace.update(change)
    figure.update_layout(layout_changes(curves, energy))
    return figure


def with_marks(figure: dict[str, Any], marks: dict[str, Any], frame: int) -> dict[str, Any]:
    """The plots with the browser's overlays: titles, values and marks of a frame.

    Args:
        figure: {"data", "layout"} of `make_figure`.
        marks: of `make_marks`.
        frame: the one that is marked.
    """
    layout, data = figure["layout"], list(figure["data"])
    notes, lines = [], []
    for plot in marks["plots"]:
        x, y = (plot[name].replace("axis", "") for name in "xy")
        at, value, colour = marks["times"][frame], plot["values"][frame], marks["colour"]
        notes.append({
            "text": f"{plot['title']} <b>{plot['texts'][frame]}</b>", "showarrow": False,
            "x": 0, "xref": f"{x} domain", "xanchor": "left",
            "y": 1, "yref": f"{y} domain", "yanchor": "bottom",
        })  # fmt: skip
        lines.append({
            "type": "line", "x0": at, "x1": at, "xref": x, "y0": 0, "y1": 1, "yref": f"{y} domain",
            "line": {"color": colour, "width": 1.5},
        })  # fmt: skip
        data.append({
            "type": "scatter", "x": [at], "y": [value], "xaxis": x, "yaxis": y, "mode": "markers",
            "marker": {"color": colour, "size": 8}, "hoverinfo": "skip", "showlegend": False,
        })  # fmt: skip
    return {"data": data, "layout": layout | {"annotations": notes, "shapes": lines}}


def trace_changes(
    curves: TrajectoryCurves, energy: EnergyCurve | None = None
) -> list[dict[str, Any]]:
    """What each trace of the figure shows of these curves: its x, y and text."""
    count = range(len(curves.times))
    rows = []
    for plot in PLOTS:
        hover = plot.hover or plot.text
        rows.append((plot.values(curves), [hover(curves, k) for k in count]))
    values = energy_values(curves, energy)
    rows.append((values, [_number(value, "eV/atom", "3f") for value in values]))
    rows.append((curves.geodesic_length, [f"straight {g:.3g}" for g in curves.geodesic_length]))
    return [
        {
            "x": curves.times,
            "y": values,
            "text": [f"{at}<br>{text}" for at, text in zip(_places(curves), texts, strict=True)],
        }
        for values, texts in rows
    ]


def layout_changes(curves: TrajectoryCurves, energy: EnergyCurve | None = None) -> dict[str, Any]:
    """The ranges of the axes, and the ticks of the time axis."""
    first, last = float(curves.times[0]), float(curves.times[-1])
    room = 0.02 * ((last - first) or 1.0)
    changes: dict[str, Any] = {}
    for place in range(ENERGY + 1):
        x, y = axis_names(place)
        values = _values(place, curves, energy)
        if place == PATH:
            values = np.concatenate([values, curves.geodesic_length])
        changes[x] = {"range": [first - room, last + room], **_ticks(curves)}
        if place >= (ROWS - 1) * COLUMNS:
            changes[x]["title"] = {"text": "t" if curves.axis is None else curves.axis.title}
        changes[y] = {"range": value_range(values), "showticklabels": any(np.isfinite(values))}
    return changes


def make_marks(curves: TrajectoryCurves, energy: EnergyCurve | None = None) -> dict[str, Any]:
    """The marks of a frame as plain JSON: per plot its axes, title, values (T) and texts (T)."""
    plots = []
    for place in range(ENERGY + 1):
        x, y = axis_names(place)
        values = _values(place, curves, energy)
        if place < ENERGY:
            title = PLOTS[place].title
            texts = [PLOTS[place].text(curves, k) for k in range(len(values))]
        else:
            title = ENERGY_TITLE
            texts = [NO_ENERGY if energy is None else _number(v, "eV/atom", "3f") for v in values]
        known = [float(value) if np.isfinite(value) else None for value in values]
        plots.append({"x": x, "y": y, "title": title, "values": known, "texts": texts})
    return {"times": curves.times.tolist(), "colour": COLOURS[1], "plots": plots}


def _places(curves: TrajectoryCurves) -> list[str]:
    """The first line of a frame's hover text."""
    if curves.axis is None:
        return [f"t {t:.2f}" for t in curves.times]
    return [curves.axis.text(k) for k in range(len(curves.times))]


def _ticks(curves: TrajectoryCurves) -> dict[str, Any]:
    """The ticks of the axis of time: those of t, or frames with their places on another axis."""
    if curves.axis is None:
        return {"tickmode": "auto", "tickvals": None, "ticktext": None}
    last = len(curves.times) - 1
    frames = sorted({round(k * last / (TICKS - 1)) for k in range(TICKS)})
    return {
        "tickmode": "array",
        "tickvals": [float(curves.times[k]) for k in frames],
        "ticktext": [curves.axis.number(k) for k in frames],
    }


def energy_values(curves: TrajectoryCurves, energy: EnergyCurve | None) -> np.ndarray:
    """(T,) eV/atom, NaN where there is none."""
    return np.full(len(curves.times), np.nan) if energy is None else energy.energies


def value_range(values: np.ndarray) -> list[float]:
    """From the least to the greatest finite value, with some room; a constant lies in the middle.

    The room is at least a thousandth of the value, so that rounding looks like no change.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [0.0, 1.0]
    low, high = float(finite.min()), float(finite.max())
    room = max(0.08 * (high - low), 1e-3 * max(abs(low), abs(high)), 1e-6)
    return [low - room, high + room]


def axis_names(place: int) -> tuple[str, str]:
    """The layout's names of a plot's axes."""
    suffix = str(place + 1) if place else ""
    return f"xaxis{suffix}", f"yaxis{suffix}"


def _axes(place: int) -> dict[str, int]:
    row, column = divmod(place, COLUMNS)
    return {"row": row + 1, "col": column + 1}


def _values(place: int, curves: TrajectoryCurves, energy: EnergyCurve | None) -> np.ndarray:
    return PLOTS[place].values(curves) if place < ENERGY else energy_values(curves, energy)


def _number(value: float, unit: str, form: str = "2f") -> str:
    text = f"{value:.{form}}".replace("-", "−")
    return f"{text} {unit}" if np.isfinite(value) else "–"
