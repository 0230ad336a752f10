"""Charts of a relaxation: energy over steps, powder patterns and pair distances of its states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.colours import COLOURS, REFINED
from flowllm.viz.patterns import powder_curve, radial_distribution
from flowllm_widgets.shared.style import themed


def energy_figure() -> go.Figure:
    """An empty chart of energy over steps; `energy_points` fills it."""
    figure = go.Figure(
        go.Scatter(
            x=[], y=[], mode="lines+markers", marker={"size": 4},
            line={"color": REFINED, "width": 2},
            hovertemplate="step %{x}: %{y:.4f} eV/atom<extra></extra>",
        )
    )  # fmt: skip
    themed(figure, 250)
    figure.update_layout(margin={"l": 70, "r": 14, "t": 14, "b": 46}, showlegend=False)
    figure.update_xaxes(title="step of the relaxation", rangemode="tozero", showgrid=False)
    figure.update_yaxes(title="energy (eV/atom)")
    return figure


def pattern_figure(states: Mapping[str, CrystalBatch]) -> go.Figure:
    """Powder patterns and pair distances of the states of one crystal, in one chart.

    Args:
        states: name -> a batch of one, in the order of their colours.
    """
    titles = ("X-ray powder pattern (Cu Kα)", "pair distances")
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, horizontal_spacing=0.1)
    for place, (name, crystal) in enumerate(states.items()):
        style = {
            "mode": "lines", "name": name, "legendgroup": name,
            "line": {"color": COLOURS[place], "width": 1.6},
        }  # fmt: skip
        for column, (x, y) in enumerate((powder_curve(crystal), radial_distribution(crystal))):
            figure.add_scatter(x=x, y=y, row=1, col=column + 1, showlegend=column == 0, **style)
    themed(figure, 300)
    figure.update_layout(
        margin={"l": 56, "r": 14, "t": 58, "b": 46},
        legend={"orientation": "h", "x": 0, "y": 1.28},
    )
    figure.update_xaxes(title="2θ (degrees)", showgrid=False, row=1, col=1)
    figure.update_yaxes(title="intensity", range=[0, 105], row=1, col=1)
    figure.update_xaxes(title="r (Å)", showgrid=False, row=1, col=2)
    figure.update_yaxes(title="g(r)", rangemode="tozero", row=1, col=2)
    return figure


def energy_points(energies: Sequence[float]) -> dict[str, list[float]]:
    """The data for the trace of `energy_figure`."""
    return {"x": [float(step) for step in range(len(energies))], "y": list(energies)}
