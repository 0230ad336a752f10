"""The chart of the losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from flowllm_widgets.shared.style import GREY, themed


def smoothed(losses: Sequence[float], every: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Means over blocks of `every` steps, and the step at which each block ends."""
    blocks = len(losses) // every
    means = np.asarray(losses[: blocks * every], dtype=np.float64).reshape(blocks, every).mean(1)
    return every * np.arange(1, blocks + 1), means


def loss_figure(names: Sequence[str], colours: Sequence[str], steps: int) -> go.Figure:
    """An empty chart: a line of losses for each name, each above its level of comparison.

    Args:
        names: of the trainings; the legend's.
        colours: of their lines.
        steps: that the whole training takes.
    """
    figure = go.Figure()
    for name, colour in zip(names, colours, strict=True):
        figure.add_scatter(name=name, mode="lines", line={"color": colour, "width": 2})
    for name, colour in zip(names, colours, strict=True):
        line = {"color": colour, "width": 1.5, "dash": "dash"}
        figure.add_scatter(name=f"best constant, {name}", mode="lines", line=line, showlegend=False)
    line = {"color": GREY, "width": 1.5, "dash": "dot"}
    figure.add_scatter(name="exact marginal velocity", mode="lines", line=line)
    themed(figure, 270)
    figure.update_xaxes(title="step", range=[0, steps])
    figure.update_yaxes(title="loss |v − u|²", rangemode="tozero")
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 56, "r": 14, "t": 36, "b": 46},
    )
    return figure
