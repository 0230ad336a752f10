"""Charts as plotly figures from plain numbers: shares in bins, and rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from flowllm.viz.bins import AXES, BINS, WHOLE
from flowllm.viz.colours import COLOURS, DATA, PRIOR, QUIET, REFINED, see_through

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 300
SMALL = 280  # pixels, of the charts of a run
MARGIN = {"l": 64, "r": 10, "t": 8, "b": 42}
LIMITS = {"e_above_hull": ((0.0, "stable"), (0.1, "metastable"))}
"""Column -> thresholds that its chart marks, with their names."""


class Rate(Protocol):
    """A rate from 0 to 1 with its interval, as a bar shows it."""

    @property
    def value(self) -> float:
        """The rate."""

    @property
    def low(self) -> float:
        """Lower end of its interval."""

    @property
    def high(self) -> float:
        """Upper end."""

    @property
    def text(self) -> str:
        """In words, for the pointer."""


def shares_behind(
    edges: np.ndarray,
    shares: Sequence[float] | np.ndarray,
    name: str,
    colour: str = DATA,
    opacity: float = 0.25,
) -> dict[str, Any]:
    """A filled step line of shares (n,) in bins of (n + 1,) edges: what a scatter trace takes."""
    return {
        "x": np.repeat(edges, 2)[1:-1],
        "y": np.repeat(100 * np.asarray(shares), 2),
        "mode": "lines",
        "line": {"color": colour, "width": 1.5},
        "fill": "tozeroy",
        "fillcolor": see_through(colour, opacity),
        "name": name,
        "hoverinfo": "skip",
    }


def share_bars(
    edges: np.ndarray, shares: Sequence[float] | np.ndarray, name: str, colour: str
) -> dict[str, Any]:
    """Bars of shares (n,) in bins of (n + 1,) edges: what a bar trace takes."""
    return {
        "x": (edges[:-1] + edges[1:]) / 2,
        "y": 100 * np.asarray(shares),
        "name": name,
        "marker": {"color": colour, "cornerradius": 2},
        "hovertemplate": f"{name}: %{{y:.1f}} %<extra></extra>",
    }


def distribution_figure(
    column: str,
    prior: Sequence[float] | None,
    refined: Sequence[float],
    reference: Sequence[float] | None = None,
) -> go.Figure:
    """Bars of the prior and the refined crystals, a reference as a filled step line behind.

    Args:
        column: one of `flowllm.viz.bins.STRUCTURAL`.
        prior: share of crystals in each bin, as `histograms` gives it; None for no bars.
        refined: the same.
        reference: the same of a data set.
    """
    import plotly.graph_objects as go

    edges = BINS[column]
    figure = go.Figure()
    if reference is not None:
        figure.add_scatter(**shares_behind(edges, reference, "data set"))
    if prior is not None:
        figure.add_bar(**share_bars(edges, prior, "prior", PRIOR))
    figure.add_bar(**share_bars(edges, refined, "refined", REFINED))
    shown = [one for one in (prior, refined, reference) if one is not None]
    _, last = _used(edges, shown)
    figure.update_layout(
        barmode="group",
        bargap=0.25,
        bargroupgap=0.05,
        height=SMALL,
        hovermode="x",
        margin=MARGIN,
        showlegend=False,
    )
    _axes(figure, column, float(edges[0]), last)
    return figure


def shares_chart(
    column: str,
    systems: Sequence[tuple[str, Sequence[float] | None]],
    data: Sequence[float] | None = None,
    data_name: str = "",
) -> go.Figure:
    """Share of each system's crystals in each bin of a column.

    Args:
        column: one of `flowllm.viz.bins.BINS`.
        systems: name and share in each bin; None for a system without values, which keeps its
            colour from others.
        data: share of a data set in each bin, drawn behind.
        data_name: what the legend calls it.
    """
    import plotly.graph_objects as go

    edges = BINS[column]
    figure = go.Figure()
    if data is not None:
        figure.add_scatter(**shares_behind(edges, data, data_name))
    for place, (name, shares) in enumerate(systems):
        if shares is not None:
            figure.add_bar(**share_bars(edges, shares, name, _colour(place)))
    shown = [row for row in (data, *(shares for _, shares in systems)) if row is not None]
    _layout(figure, len(systems))
    figure.update_layout(barmode="group", bargap=0.2, bargroupgap=0.05, hovermode="x")
    _axes(figure, column, *_used(edges, shown))
    for limit, label in LIMITS.get(column, ()):
        figure.add_vline(
            limit, line={"color": DATA, "dash": "dot", "width": 1.5}, annotation_text=label,
            annotation_position="top right", annotation_font_size=11,
        )  # fmt: skip
    return figure


def rates_chart(
    systems: Sequence[tuple[str, Mapping[str, Rate]]], names: Sequence[str]
) -> go.Figure:
    """Rates in percent with their intervals, one group of bars per rate.

    Args:
        systems: name, and rates by name.
        names: which rates are shown, in their order.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, (system, rates) in enumerate(systems):
        shown = [(name, rates[name]) for name in names if name in rates]
        values = 100 * np.array([rate.value for _, rate in shown], dtype=float)
        error: dict[str, Any] = {
            "type": "data",
            "symmetric": False,
            "array": 100 * np.array([rate.high for _, rate in shown]) - values,
            "arrayminus": values - 100 * np.array([rate.low for _, rate in shown]),
            "thickness": 1.2,
            "width": 4,
            "color": QUIET,
        }
        figure.add_bar(
            x=[name for name, _ in shown],
            y=values,
            error_y=error,
            name=system,
            marker={"color": _colour(place), "cornerradius": 2},
            customdata=[rate.text for _, rate in shown],
            hovertemplate="%{x}: %{customdata}<extra></extra>",
        )
    _layout(figure, len(systems))
    figure.update_layout(barmode="group", bargap=0.3)
    figure.update_yaxes(ticksuffix=" %", range=[0, 105], nticks=6)
    figure.update_xaxes(tickangle=-25, categoryarray=list(names), categoryorder="array")
    figure.update_layout(margin={"b": 84})
    return figure


def _used(edges: np.ndarray, rows: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The range of bins that are non-empty in at least one row."""
    used = np.flatnonzero(np.array(rows, dtype=float).any(0))
    if not len(used):
        return float(edges[0]), float(edges[-1])
    return float(edges[used[0]]), float(edges[used[-1] + 1])


def _axes(figure: go.Figure, column: str, low: float, high: float) -> None:
    figure.update_xaxes(title=AXES[column], range=[low, high], showgrid=False)
    figure.update_yaxes(title="share of crystals", ticksuffix=" %", rangemode="tozero", nticks=6)
    if column in WHOLE:
        step = 1 if high < 12 else 2
        figure.update_xaxes(dtick=step, tick0=step)


def _layout(figure: go.Figure, systems: int) -> None:
    figure.update_layout(
        template="none",
        height=HEIGHT,
        margin={"l": 64, "r": 12, "t": 28 if systems > 1 else 18, "b": 46},
        showlegend=systems > 1,
        legend={"orientation": "h", "y": 1.12, "x": 0},
    )


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
