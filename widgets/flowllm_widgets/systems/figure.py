"""The paths of several systems as curves over the fraction of the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from flowllm.teaching.ways import MeasuredWay
from flowllm_widgets.shared.style import COLOURS, GREY, themed

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 340
ENERGY_SPAN = 8.0  # eV/atom above the best that are drawn; ways begin far above
TITLES = ("volume, Å³/atom", "shortest contact / radii", "energy above best, eV/atom")


def ways_figure(ways: Mapping[str, MeasuredWay]) -> go.Figure:
    """Volume, shortest contact and, if known, energy of each path.

    Energies are counted from the lowest of all ways, so they compare for one composition only.

    Args:
        ways: {system: the way of one crystal}.
    """
    from plotly.subplots import make_subplots

    lowest = [np.nanmin(way.energy) for way in ways.values() if np.isfinite(way.energy).any()]
    panels = 3 if lowest else 2
    figure = make_subplots(1, panels, subplot_titles=TITLES[:panels], horizontal_spacing=0.07)
    for place, (name, way) in enumerate(ways.items()):
        values = [way.volume_per_atom, way.contact, way.energy - min(lowest, default=0.0)]
        for panel in range(panels):
            figure.add_scatter(
                x=way.shares, y=values[panel], name=name, legendgroup=name, mode="lines+markers",
                showlegend=panel == 0, row=1, col=panel + 1,
                line={"color": COLOURS[place % len(COLOURS)], "width": 2},
                marker={"size": 4},
                hovertemplate=f"{name}<br>%{{x:.0%}} of the path: %{{y:.3g}}<extra></extra>",
            )  # fmt: skip
    themed(figure, HEIGHT)
    figure.update_annotations(font_size=12)
    figure.add_hline(y=1.0, line={"color": GREY, "width": 1, "dash": "dot"}, row=1, col=2)
    figure.update_xaxes(
        tickformat=".0%", range=[-0.02, 1.02], title={"text": "fraction of the path", "standoff": 6}
    )
    figure.update_yaxes(rangemode="tozero")
    if lowest:
        highest = max(
            np.nanmax(way.energy) for way in ways.values() if np.isfinite(way.energy).any()
        )
        top = min(ENERGY_SPAN, 1.05 * (highest - min(lowest)) + 0.1)
        figure.update_yaxes(range=[-0.04 * top, top], row=1, col=3)
    figure.update_layout(
        margin={"l": 44, "r": 10, "t": 34, "b": 90},
        legend={"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top"},
    )
    return figure
