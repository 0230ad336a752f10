"""A page of one file in which a trajectory plays, offline: 3-D view, slider and curves.

The page is the report's (`flowllm.viz.page`): its style, its script and plotly inside. Frames
travel as coordinates; `page.js` makes spheres and lines of them.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.element_colours import colours_of_paths
from flowllm.viz.page import figure_place, render, script_json
from flowllm.viz.structure3d import (
    CELL_COLOUR,
    FACE_OPACITY,
    LIGHT,
    LIGHTING,
    Drawing,
    ball_radii,
    draw,
    unit_sphere,
)
from flowllm_widgets.trajectory.data import EnergyCurve, TrajectoryCurves, describe
from flowllm_widgets.trajectory.figure import make_figure, make_marks
from flowllm_widgets.trajectory.marks import SCRIPT as MARKS

ROOM = 0.8  # Å around atoms and cells
SPEEDS = (5, 10, 20, 40)  # frames a second
STYLE = """
.player { max-width: 760px; margin: 18px auto 0; }
.player .stage { height: 480px; touch-action: none; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; margin: 8px 0; }
.controls button, .controls select { font: inherit; color: var(--ink); background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; padding: 5px 14px; }
.controls button { min-width: 6em; cursor: pointer; }
.controls input[type=range] { flex: 1 1 240px; padding: 0; margin: 0; accent-color: var(--accent); }
.controls input[type=checkbox] { width: auto; }
.plots { position: relative; min-width: 0; max-width: 900px; margin: auto; }
@media (max-width: 600px) { .player .stage { height: 340px; } .wide { padding: 8px 4px; } }
#marks { position: absolute; inset: 0; pointer-events: none; }
#says { font-variant-numeric: tabular-nums; color: var(--ink); margin: 0; max-width: none; }
"""


def make_page(
    trajectory: Trajectory,
    curves: TrajectoryCurves,
    energy: EnergyCurve | None = None,
    polyhedra: bool = False,
) -> str:
    """The page of one crystal's trajectory, optionally with coordination polyhedra.

    Raises:
        InputError: a cell spans no volume.
    """
    first, last = (frame.formulas[0] for frame in (trajectory.first, trajectory.last))
    formula = first if first == last else f"{first} → {last}"
    name = str(trajectory.ids[0])
    label = f"Cell and atoms of {formula} along the flow"
    colours, shown = colours_of_paths([trajectory.atomic_numbers])
    keys = "".join(
        f'<span><i style="background:{colours[n]}"></i>{SYMBOLS[n]}</span>' for n in shown
    )
    speeds = "".join(
        f"<option{' selected' if speed == 20 else ''}>{speed}</option>" for speed in SPEEDS
    )
    data = script_json(player_data(trajectory, curves, energy, polyhedra))
    paths = (MARKS, Path(__file__).parent / "page.js")
    script = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    sections = [
        f'<style>{STYLE}</style><section class="card player">'
        f'<div class="stage" id="player" role="img" tabindex="0" aria-label="{escape(label)}">'
        f'</div><p class="legend">{keys}</p><div class="controls">'
        '<button type="button" id="play">Play</button>'
        f'<input type="range" id="frame" min="0" max="{len(trajectory) - 1}" value="0" '
        'aria-label="Frame">'
        f'<label>Frames a second <select id="speed">{speeds}</select></label>'
        '<label><input type="checkbox" id="loop" checked> Loop</label></div>'
        '<p id="says"></p></section>\n',
        '<section class="card wide" style="margin-top:18px"><div class="plots">'
        f"{figure_place('curves', make_figure(curves, energy), 'Curves over t')}"
        '<div id="marks"></div></div></section>\n',
        f'<script type="application/json" id="trajectory">{data}</script>\n'
        f"<script>\n{script}</script>\n",
    ]
    start = "t = 0" if curves.axis is None else curves.place(0)
    lead = f"{name}: {len(trajectory)} frames from the prior ({start}) to the refined crystal."
    return render(formula, lead, map(Markup, sections))  # built above of escaped text


def player_data(
    trajectory: Trajectory,
    curves: TrajectoryCurves,
    energy: EnergyCurve | None,
    polyhedra: bool = False,
) -> dict[str, Any]:
    """The data for the page's script, as plain JSON."""
    numbers = [int(n) for n in np.unique(trajectory.atomic_numbers)]
    colours, _ = colours_of_paths([trajectory.atomic_numbers])
    drawings = [draw(frame) for frame in trajectory]
    points = np.concatenate([p for d in drawings for p in (d.positions, d.edges.reshape(-1, 3))])
    middle = (points.min(0) + points.max(0)) / 2
    half = np.linalg.norm(points - middle, axis=1).max() + ROOM  # nothing leaves when one turns it
    sphere, faces = unit_sphere()
    return {
        "elements": [
            {
                "symbol": SYMBOLS[n],
                "colour": colours[n],
                "radius": round(float(ball_radii(np.array(n))), 3),
            }
            for n in numbers
        ],
        "frames": [_frame(drawing, numbers, polyhedra) for drawing in drawings],
        "ranges": np.stack([middle - half, middle + half], axis=1).tolist(),
        "sphere": {"points": np.round(sphere, 4).tolist(), "faces": faces.tolist()},
        "style": {
            "cell": CELL_COLOUR,
            "lighting": LIGHTING,
            "light": LIGHT,
            "opacity": FACE_OPACITY,
            "polyhedra": polyhedra,
        },
        "says": [describe(trajectory, curves, k) for k in range(len(trajectory))],
        "marks": make_marks(curves, energy),
    }


def _frame(drawing: Drawing, numbers: list[int], polyhedra: bool) -> dict[str, Any]:
    """Atoms in Å with their element's position in `numbers`, bonds, and the cell's edges."""
    return {
        "atoms": np.round(drawing.positions, 3).tolist(),
        "kinds": np.searchsorted(numbers, drawing.numbers).tolist(),
        "bonds": drawing.bonds.tolist(),
        "edges": np.round(drawing.edges, 3).tolist(),
        "faces": drawing.triangles.tolist() if polyhedra else [],
        "middles": drawing.middles.tolist() if polyhedra else [],
    }
