"""How far a flow moves the atoms: the data and their chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.charts import MARGIN, SMALL
from flowllm.viz.colours import REFINED

if TYPE_CHECKING:
    import plotly.graph_objects as go


def path_length(trajectory: Trajectory) -> np.ndarray:
    """(T,) Å: root mean square distance of the atoms from where they began, frame by frame.

    Along the shortest way on the torus, less each crystal's common translation, in the cell of the
    frame. Crystals whose cell spans no volume in a frame are left out; NaN if all are.
    """
    sound = np.all([frame.volumes > 0 for frame in trajectory], axis=0)
    if not sound.all():
        trajectory = trajectory.select(np.flatnonzero(sound))
    if not trajectory.num_crystals:
        return np.full(len(trajectory), np.nan)
    start = trajectory.frac_coords[0]
    owner = trajectory.first.crystal_of_atom
    result = []
    for frame in trajectory:
        moved = frame.frac_coords - start
        moved -= np.round(moved)
        mean = np.stack([np.bincount(owner, moved[:, k]) for k in range(3)], 1)
        moved -= (mean / frame.num_atoms[:, None])[owner]
        vectors = np.einsum("ni,nij->nj", moved, frame.lattices[owner])
        result.append(np.sqrt((vectors**2).sum(-1).mean()))
    return np.array(result)


def path_figure(trajectory: Trajectory) -> go.Figure:
    """How far the atoms have come along the flow, over its time."""
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Scatter(
            x=trajectory.times,
            y=path_length(trajectory),
            mode="lines",
            line={"color": REFINED, "width": 2.5},
            hovertemplate="t %{x:.2f}: %{y:.3f} Å<extra></extra>",
        )
    )
    figure.update_layout(height=SMALL, margin=MARGIN, showlegend=False)
    figure.update_xaxes(title="time along the flow", range=[0, 1], showgrid=False)
    figure.update_yaxes(ticksuffix=" Å", rangemode="tozero", nticks=6)
    return figure
