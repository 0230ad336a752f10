"""Charts of one or several evaluations over each other, the data's distribution behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.evaluation.bins import BINS, shares
from flowllm.evaluation.metric import SHARE, Metric

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from flowllm.evaluation.report import Report

COLOURS = ("#2f7bd9", "#e08a1e", "#1d9a76", "#b0489b", "#7d6ae0", "#c2503f")
DATA = "#9aa4b5"
HEIGHT = 300
TITLES = {
    "validity": "Validity, coverage, stability",
    "e_above_hull": "Energy above the hull",
    "n_elements": "Different elements per crystal",
    "density": "Density",
    "num_atoms": "Atoms per cell",
    "relax_rmsd": "Distance to the relaxed state",
}
"""Key of a chart -> its heading."""
AXES = {
    "e_above_hull": "eV/atom",
    "n_elements": "elements",
    "density": "g/cm³",
    "num_atoms": "atoms",
    "relax_rmsd": "root mean square distance, Å",
}
RATES = (
    "valid structure",
    "valid composition",
    "recall",
    "precision",
    "unique",
    "novel",
    "metastable (< 0.1)",
    "stable (< 0)",
    "S.U.N. (< 0)",
)
"""Rates that stand beside each other in the chart of validity, where they were computed."""


def charts(reports: Sequence[Report]) -> dict[str, go.Figure]:
    """Key of `TITLES` -> figure, for all of which a report has values."""
    figures = {}
    rates = [name for name in RATES if any(m.name == name for r in reports for m in r)]
    if rates:
        figures["validity"] = rates_chart(reports, rates)
    for column in BINS:
        if any(column in r.rows and r.rows[column].notna().any() for r in reports):
            figures[column] = histogram(reports, column)
    return figures


def histogram(reports: Sequence[Report], column: str) -> go.Figure:
    """Share of the crystals in each bin of a column, one line of bars a report."""
    import plotly.graph_objects as go

    edges = BINS[column]
    centres = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    behind = next((r for r in reports if column in r.data), None)
    heights = []
    if behind is not None:
        heights.append(np.array(behind.data[column]))
        figure.add_scatter(
            x=np.repeat(edges, 2)[1:-1],
            y=np.repeat(100 * heights[0], 2),
            mode="lines",
            line={"color": DATA, "width": 1.5},
            fill="tozeroy",
            fillcolor="rgba(154,164,181,0.25)",
            name=behind.data_name,
            hoverinfo="skip",
        )
    for place, report in enumerate(reports):
        if column not in report.rows:
            continue
        values = report.rows[column].to_numpy(dtype=float, na_value=np.nan)
        if not np.isfinite(values).any():
            continue
        heights.append(np.array(shares(column, values)))
        figure.add_bar(
            x=centres,
            y=100 * heights[-1],
            name=report.name,
            marker={"color": _colour(place), "cornerradius": 2},
            hovertemplate=f"{report.name}: %{{y:.1f}} %<extra></extra>",
        )
    used = np.flatnonzero(np.array(heights).any(0))
    low, high = (edges[used[0]], edges[used[-1] + 1]) if len(used) else (edges[0], edges[-1])
    _layout(figure, len(reports))
    figure.update_layout(barmode="group", bargap=0.2, bargroupgap=0.05, hovermode="x")
    figure.update_xaxes(title=AXES[column], range=[float(low), float(high)], showgrid=False)
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero", nticks=6)
    if column in ("n_elements", "num_atoms"):
        step = 1 if high < 12 else 2
        figure.update_xaxes(dtick=step, tick0=step)
    if column == "e_above_hull":
        for limit, label in ((0.0, "stable"), (0.1, "metastable")):
            figure.add_vline(
                limit, line={"color": DATA, "dash": "dot", "width": 1.5}, annotation_text=label,
                annotation_position="top right", annotation_font_size=11,
            )  # fmt: skip
    return figure


def rates_chart(reports: Sequence[Report], names: Sequence[str]) -> go.Figure:
    """Rates in percent with their intervals, one group of bars a rate."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, report in enumerate(reports):
        found: dict[str, Metric] = {m.name: m for m in report if m.unit == SHARE}
        shown = [found[name] for name in names if name in found]
        values = 100 * np.array([m.value for m in shown], dtype=float)
        error: dict[str, Any] = {
            "type": "data",
            "symmetric": False,
            "array": 100 * np.array([m.high for m in shown]) - values,
            "arrayminus": values - 100 * np.array([m.low for m in shown]),
            "thickness": 1.2,
            "width": 4,
            "color": "#5b6675",
        }
        figure.add_bar(
            x=[m.name for m in shown],
            y=values,
            error_y=error,
            name=report.name,
            marker={"color": _colour(place), "cornerradius": 2},
            customdata=[m.text for m in shown],
            hovertemplate="%{x}: %{customdata}<extra></extra>",
        )
    _layout(figure, len(reports))
    figure.update_layout(barmode="group", bargap=0.3)
    figure.update_yaxes(ticksuffix=" %", range=[0, 105], nticks=6)
    figure.update_xaxes(tickangle=-25, categoryarray=list(names), categoryorder="array")
    figure.update_layout(margin={"b": 84})
    return figure


def _layout(figure: go.Figure, systems: int) -> None:
    figure.update_layout(
        template="none",
        height=HEIGHT,
        margin={"l": 50, "r": 12, "t": 28 if systems > 1 else 18, "b": 46},
        showlegend=systems > 1,
        legend={"orientation": "h", "y": 1.12, "x": 0},
    )


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
