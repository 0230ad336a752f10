"""Histograms as plotly figures: bars of each system, the data behind, the threshold as a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.viz.bins import BINS
from flowllm.viz.charts import shares_behind
from flowllm_widgets.histograms.data import System, bin_text
from flowllm_widgets.shared.style import COLOURS, GREY, themed

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 330
TITLES_OF_AXES = {"e_above_hull": "E_hull (eV/atom)", "n_elements": "different elements"}
FADED = 0.72  # opacity of the bars that are not chosen
UNITS = {"e_above_hull": " eV/atom", "n_elements": " elements"}


def histogram(
    systems: Sequence[System],
    data: Sequence[float] = (),
    data_name: str = "",
    threshold: float | None = None,
) -> go.Figure:
    """Share of each system's crystals in each bin.

    Traces are the data's distribution, if there is one, and then one of bars for each system.

    Args:
        systems: one to six systems of one column.
        data: share of the data in each bin.
        data_name: what the legend calls it.
        threshold: where a line stands that can be moved.
    """
    import plotly.graph_objects as go

    column = systems[0].column
    edges = BINS[column]
    figure = themed(go.Figure(), HEIGHT)
    if len(data):
        figure.add_scatter(**shares_behind(edges, data, data_name, GREY, 0.22))
    for system in systems:
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            name=system.name,
            marker={"color": COLOURS[system.place], "line": {"color": GREY}},
            hovertemplate="%{customdata}<extra></extra>",
            hoverlabel={"align": "left"},
            zorder=1,  # before the data
            **bars(system),
        )
    low, high = x_range(systems, data, threshold)
    figure.update_layout(
        barmode="group", bargap=0.15, bargroupgap=0.04, hovermode="closest", dragmode=False,
        margin={"t": 58, "r": 20}, showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.1, "yanchor": "bottom", "itemclick": False,
                "itemdoubleclick": False},
        meta={"column": column},
    )  # fmt: skip
    figure.update_xaxes(title=TITLES_OF_AXES[column],
                        range=[low, high], showgrid=False, fixedrange=True)  # fmt: skip
    figure.update_yaxes(
        title="share of crystals", ticksuffix=" %", rangemode="tozero", nticks=6, fixedrange=True
    )
    if column == "n_elements":
        figure.update_xaxes(dtick=1, tick0=1)
    if threshold is not None:
        figure.update_layout(shapes=[line_at(threshold)])
    return figure


def bars(system: System, kept: np.ndarray | None = None) -> dict[str, Any]:
    """Heights in percent and texts of one system's bars; of the kept (R,) bool only."""
    counts = system.counts(kept)
    total = int(counts.sum())
    shares = 100 * counts / max(1, total)
    unit = UNITS.get(system.column, "")
    texts = [
        f"{system.name}<br>{bin_text(system.column, at)}{unit}<br>"
        f"{share:.1f} %: {count:,} of {total:,}<br>click to list them"
        for at, (share, count) in enumerate(zip(shares, counts, strict=True))
    ]
    return {"y": shares, "customdata": texts}


def emphasis(system: System, at: int | None) -> dict[str, Any]:
    """Fill and outline of bars, which highlight the chosen one."""
    chosen = np.arange(len(BINS[system.column]) - 1) == at
    return {"opacity": np.where(chosen, 1.0, FADED), "line": {"width": np.where(chosen, 2.5, 0.0)}}


def x_range(
    systems: Sequence[System], data: Sequence[float] = (), threshold: float | None = None
) -> tuple[float, float]:
    """From the first to the last bin that holds something or the threshold."""
    edges = BINS[systems[0].column]
    used = np.logical_or.reduce([system.counts() > 0 for system in systems])
    if len(data):
        used |= np.asarray(data) > 0
    places = np.flatnonzero(used)
    low, high = float(edges[places[0]]), float(edges[places[-1] + 1])
    if threshold is not None:
        low, high = min(low, threshold - 0.02), max(high, threshold + 0.02)
    return low, high


def line_at(threshold: float) -> dict[str, Any]:
    """The line of the threshold over the whole height, with its value above it."""
    return {
        "type": "line", "xref": "x", "yref": "paper",
        "x0": threshold, "x1": threshold, "y0": 0, "y1": 1,
        "line": {"color": "#c2503f", "width": 3, "dash": "dot"},
        "label": {"text": f"E_hull < {threshold:.3f}", "textposition": "end", "textangle": 0,
                  "yanchor": "bottom", "xanchor": "center"},
    }  # fmt: skip


def moved_to(shape: Any, before: float) -> float:
    """The threshold at a dragged line, or at its dragged end."""
    ends = [float(shape.x0), float(shape.x1)]
    return max(ends, key=lambda x: abs(x - before))
