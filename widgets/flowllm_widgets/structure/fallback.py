"""Crystals in 3-D by plotly, for front ends without nglview's extension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from flowllm.viz.structure3d import Drawing, traces
from flowllm_widgets.structure.projection import EYE

ZOOM = 1.75  # under orthographic projection the aspect ratio is the zoom


def figure3d(
    drawings: Sequence[Drawing],
    captions: Sequence[str],
    extent: float,
    height: int,
    colours: Mapping[int, str] | None = None,
    polyhedra: bool = False,
) -> go.Figure:
    """Drawings side by side, each about its own middle.

    Args:
        drawings: one or several, as `MovingDrawing.at` gives them.
        captions: of each.
        extent: Å, the radius that each picture holds.
        height: in pixels.
        colours: {atomic number: colour}; default each drawing's own.
        polyhedra: whether the coordination polyhedra are drawn.
    """
    figure = go.Figure()
    layout: dict[str, Any] = {}
    notes = []
    for place, (drawing, caption) in enumerate(zip(drawings, captions, strict=True)):
        name = _name(place)
        left, right = place / len(drawings), (place + 1) / len(drawings)
        figure.add_traces(traces(drawing, name, colours=colours, polyhedra=polyhedra))
        axis = {"visible": False, "range": [-extent, extent]}
        layout[name] = {
            "xaxis": axis,
            "yaxis": axis,
            "zaxis": axis,
            "aspectmode": "manual",
            "aspectratio": dict.fromkeys("xyz", ZOOM),
            "dragmode": "orbit",
            "camera": {
                "eye": dict(zip("xyz", EYE.tolist(), strict=True)),
                "projection": {"type": "orthographic"},
            },
            "domain": {"x": [left, right], "y": [0.06, 1]},
        }
        if caption:
            notes.append(
                {
                    "text": caption, "x": (left + right) / 2, "y": 0, "xref": "paper",
                    "yref": "paper", "showarrow": False, "yanchor": "bottom",
                }
            )  # fmt: skip
    figure.update_layout(
        **layout,
        annotations=notes,
        height=height,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        showlegend=False,
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def move(
    figure: go.Figure,
    drawings: Sequence[Drawing],
    colours: Mapping[int, str] | None = None,
    polyhedra: bool = False,
) -> None:
    """Move a figure of `figure3d` to another frame; the cameras stay."""
    new = [
        t
        for place, d in enumerate(drawings)
        for t in traces(d, _name(place), colours=colours, polyhedra=polyhedra)
    ]
    same = [(t.name, t.scene) for t in figure.data] == [(t.name, t.scene) for t in new]
    with figure.batch_update():
        if not same:  # an element lost its last bond, or found its first
            figure.data = ()
            figure.add_traces(new)
            return
        for old, fresh in zip(figure.data, new, strict=True):
            for axis in "xyzijk" if fresh.type == "mesh3d" else "xyz":
                old[axis] = fresh[axis]
            if fresh.name == "polyhedra":
                old.facecolor = fresh.facecolor


def _name(place: int) -> str:
    return "scene" if place == 0 else f"scene{place + 1}"
