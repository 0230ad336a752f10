"""The report's figures: plain numbers first, plotly figures from them after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.metrics.properties import density, n_elements
from flowllm.viz.structure3d import draw, traces

if TYPE_CHECKING:
    import plotly.graph_objects as go

ZOOM = 1.25
PRIOR, REFINED, REFERENCE = "#e08a1e", "#2f7bd9", "#9aa4b5"
TITLES = {
    "density": "Density",
    "n_elements": "Different elements per crystal",
    "num_atoms": "Atoms per cell",
}
AXES = {"density": "g/cm³", "n_elements": "elements", "num_atoms": "atoms"}
EDGES = {
    "density": np.arange(0.0, 26.0, 1.0),
    "n_elements": np.arange(0.5, 9.5, 1.0),
    "num_atoms": np.arange(0.5, 21.5, 1.0),
}
"""Bins of the three distributions; what lies beyond the last is counted in it."""


def histograms(crystals: CrystalBatch) -> dict[str, list[float]]:
    """Per distribution of `EDGES` the share of crystals in each bin; cells without volume left out.

    The result is plain JSON: kept of a data set, it serves as the report's reference.
    """
    values = {
        "density": density(crystals),
        "n_elements": n_elements(crystals),
        "num_atoms": crystals.num_atoms,
    }
    return {name: _shares(row, EDGES[name]).tolist() for name, row in values.items()}


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    values = values[np.isfinite(values)]
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
    counts = np.histogram(inside, edges)[0]
    return counts / max(1, len(values))


def distribution_figure(
    name: str,
    prior: Sequence[float],
    refined: Sequence[float],
    reference: Sequence[float] | None = None,
) -> go.Figure:
    """Bars of the prior and the refined crystals, a reference as a filled step line behind.

    Args:
        name: density, n_elements or num_atoms.
        prior: share of crystals in each bin of `EDGES[name]`, as `histograms` gives it.
        refined: the same.
        reference: the same of a data set.
    """
    import plotly.graph_objects as go

    edges = EDGES[name]
    centres = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    if reference is not None:
        figure.add_scatter(
            x=np.repeat(edges, 2)[1:-1],
            y=np.repeat(100 * np.asarray(reference), 2),
            mode="lines",
            line={"color": REFERENCE, "width": 1.5},
            fill="tozeroy",
            fillcolor="rgba(154,164,181,0.25)",
            name="data set",
            hoverinfo="skip",
        )
    for label, shares, tint in (("prior", prior, PRIOR), ("refined", refined, REFINED)):
        figure.add_bar(
            x=centres,
            y=100 * np.asarray(shares),
            name=label,
            marker={"color": tint, "cornerradius": 2},
            hovertemplate=f"{label}: %{{y:.1f}} %<extra></extra>",
        )
    shown = [prior, refined] if reference is None else [prior, refined, reference]
    used = np.flatnonzero(np.array(shown, dtype=float).any(0))
    last = edges[used[-1] + 1] if len(used) else edges[-1]
    figure.update_layout(
        barmode="group",
        bargap=0.25,
        bargroupgap=0.05,
        height=280,
        hovermode="x",
        margin={"l": 46, "r": 10, "t": 8, "b": 42},
        showlegend=False,
    )
    figure.update_xaxes(title=AXES[name], range=[edges[0], last], showgrid=False)
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero", nticks=6)
    if name != "density":
        figure.update_xaxes(dtick=1 if last < 12 else 2, tick0=1 if last < 12 else 2)
    return figure


def structure_figure(before: CrystalBatch | None, after: CrystalBatch) -> go.Figure:
    """A crystal before (left) and after (right) refinement, to one scale and about one centre."""
    import plotly.graph_objects as go

    shown = [("scene", before), ("scene2", after)] if before is not None else [("scene", after)]
    drawings = [(scene, draw(crystal)) for scene, crystal in shown if crystal is not None]
    extent = max(
        np.ptp(np.concatenate([d.positions, d.edges.reshape(-1, 3)]), axis=0).max() + 1.5
        for _, d in drawings
    )
    figure = go.Figure()
    layout: dict[str, Any] = {}
    for place, (scene, drawing) in enumerate(drawings):
        figure.add_traces(traces(drawing, scene))
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


def path_length(trajectory: Trajectory) -> np.ndarray:
    """(T,) Å: root mean square distance of the atoms from where they began, frame by frame.

    Along the shortest way on the torus, less each crystal's common translation, in the cell of the
    frame.
    """
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
    figure.update_layout(height=280, margin={"l": 46, "r": 10, "t": 8, "b": 42}, showlegend=False)
    figure.update_xaxes(title="time along the flow", range=[0, 1], showgrid=False)
    figure.update_yaxes(ticksuffix=" Å", rangemode="tozero", nticks=6)
    return figure


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
