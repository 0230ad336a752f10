"""Crystals before and after refinement in 3-D, and the choice of which to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.structure3d import draw, element_colours, traces

if TYPE_CHECKING:
    import plotly.graph_objects as go

ZOOM = 1.25


def structure_figure(before: CrystalBatch | None, after: CrystalBatch) -> go.Figure:
    """A crystal before (left) and after (right) refinement, to one scale and about one centre."""
    import plotly.graph_objects as go

    shown = [("scene", before), ("scene2", after)] if before is not None else [("scene", after)]
    drawings = [(scene, draw(crystal)) for scene, crystal in shown if crystal is not None]
    extent = max(
        np.ptp(np.concatenate([d.positions, d.edges.reshape(-1, 3)]), axis=0).max() + 1.5
        for _, d in drawings
    )
    colours = element_colours(n for _, d in drawings for n in np.unique(d.numbers))
    figure = go.Figure()
    layout: dict[str, Any] = {}
    for place, (scene, drawing) in enumerate(drawings):
        figure.add_traces(traces(drawing, scene, colours=colours, polyhedra=True))
        points = np.concatenate([drawing.positions, drawing.edges.reshape(-1, 3)])
        middle = (points.min(0) + points.max(0)) / 2
        width = 1 / len(drawings)
        layout[scene] = _scene(middle, extent) | {
            "domain": {"x": [place * width, (place + 1) * width], "y": [0, 1]}
        }
    figure.update_layout(
        **layout, height=300, margin={"l": 0, "r": 0, "t": 0, "b": 0}, showlegend=False
    )
    return figure


def _scene(middle: np.ndarray, extent: float) -> dict[str, Any]:
    scene: dict[str, Any] = {
        f"{name}axis": {
            "visible": False,
            "range": [float(centre - extent / 2), float(centre + extent / 2)],
        }
        for name, centre in zip("xyz", middle, strict=True)
    }
    camera = {"eye": {"x": 1.25, "y": 0.75, "z": 0.5}, "projection": {"type": "orthographic"}}
    # under orthographic projection the aspect ratio is the zoom, the eye's distance is not
    zoom = dict.fromkeys("xyz", ZOOM)
    return scene | {
        "aspectmode": "manual",
        "aspectratio": zoom,
        "dragmode": "orbit",
        "camera": camera,
    }


def choose_diverse(crystals: CrystalBatch, valid: Mapping[str, bool], count: int = 6) -> list[int]:
    """Positions of up to `count` crystals that differ most in their elements, valid ones first.

    Greedy: each next one has the largest least distance (Jaccard, of the element sets; a little for
    sizes) to those chosen. Starts from a crystal of middling size; cells without volume are out.
    """
    solid = np.flatnonzero(crystals.volumes > 0)
    good = [int(i) for i in solid if valid.get(str(crystals.ids[i]), True)]
    pool = good if len(good) >= count else [*good, *(int(i) for i in solid if i not in set(good))]
    if not pool:
        return []
    sets = [frozenset(c) for c in crystals.compositions]
    sizes = crystals.num_atoms

    def distance(one: int, other: int) -> float:
        union = len(sets[one] | sets[other])
        unlike = 1 - len(sets[one] & sets[other]) / max(1, union)
        return (
            unlike
            + 0.3 * abs(int(sizes[one]) - int(sizes[other])) / 20
            + 0.2 * (len(sets[one]) != len(sets[other]))
        )

    chosen = [min(pool, key=lambda i: (len(sets[i]) != 3, abs(int(sizes[i]) - 8)))]
    least = {i: distance(i, chosen[0]) for i in pool}
    while len(chosen) < min(count, len(pool)):
        best = max((i for i in pool if i not in chosen), key=lambda i: least[i])
        chosen.append(best)
        least = {i: min(d, distance(i, best)) for i, d in least.items()}
    return chosen
