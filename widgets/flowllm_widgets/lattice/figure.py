"""Charts of the lattice playground: curves and their slopes, cells along t, cells in 3-D."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from flowllm_widgets.lattice.data import ANGLES, MAPS, PRINTED, Cell, CellPath, curve, slopes
from flowllm_widgets.shared.style import COLOURS, GREY, themed

COLOUR_OF = {"flowmm": COLOURS[1], "logit": COLOURS[2], "log-matrix": COLOURS[0]}
COLOUR_OF[PRINTED] = COLOURS[5]
START, TARGET = COLOURS[3], GREY
LOW, HIGH = 45.0, 135.0
DASH = {PRINTED: "dot"}
PANELS = ("volume / Å³", "α / °", "β / °", "γ / °")


def charts_figure() -> go.Figure:
    """Empty charts: on the left phi(eta) and its slope, on the right volume and angles along t.

    Traces in order: for each row of the left column and each map a line and its two markers; then
    for each panel of the right ones and each map a line. The shapes are the marks of 60, 90 and 120
    degrees and last, four of them, those of t.
    """
    figure = make_subplots(
        2, 3, horizontal_spacing=0.085, vertical_spacing=0.1, column_widths=[0.42, 0.29, 0.29]
    )
    for row in (1, 2):
        for name in MAPS:
            place = {"legendgroup": name, "row": row, "col": 1, "name": name}
            figure.add_scatter(mode="lines", line=_line(name), showlegend=row == 1, **place)
            marker = {"color": COLOUR_OF[name], "size": 10, "symbol": ["circle", "diamond"],
                      "line": {"color": GREY, "width": 1}}  # fmt: skip
            figure.add_scatter(
                mode="markers", marker=marker, showlegend=False,
                hovertemplate="%{x:.1f}°: %{y:.3g}", **place,
            )  # fmt: skip
        for bound in (60, 90, 120):
            figure.add_vline(bound, line={"color": GREY, "width": 1, "dash": "dot"}, row=row, col=1)
    for index, title in enumerate(PANELS):
        cell = {"row": index // 2 + 1, "col": index % 2 + 2}
        for name in MAPS:
            figure.add_scatter(
                name=name, mode="lines", line=_line(name), legendgroup=name, showlegend=False,
                **cell,
            )  # fmt: skip
        figure.update_yaxes(title=title, **cell)
    for index in range(len(PANELS)):
        figure.add_vline(
            0.0, line={"color": GREY, "width": 1.5}, row=index // 2 + 1, col=index % 2 + 2
        )
    themed(figure, 440)
    figure.update_xaxes(range=[LOW, HIGH], dtick=15, col=1)
    figure.update_xaxes(range=[0, 1], dtick=0.5, col=2)
    figure.update_xaxes(range=[0, 1], dtick=0.5, col=3)
    for column in (2, 3):
        figure.update_xaxes(title="t", row=2, col=column)
    figure.update_yaxes(title="φ(η)", range=[-10, 10], row=1, col=1)
    figure.update_yaxes(
        title="|dφ/dη| per degree", type="log", range=[-2.6, 1.2], dtick=1, row=2, col=1
    )
    figure.for_each_yaxis(lambda axis: axis.update(title_standoff=4))
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 50, "r": 8, "t": 34, "b": 44},
    )
    return figure


def update_curves(
    figure: go.Figure, start: Cell, target: Cell, which: int, shown: Sequence[str]
) -> None:
    """Draw the curves of one angle and mark where it starts (circle) and ends (diamond).

    Args:
        figure: of `charts_figure`.
        start, target: cells; the curve of log-matrix is that of the target's other parameters.
        which: 0 for alpha, 1 for beta, 2 for gamma.
        shown: names of maps.
    """
    values = np.linspace(LOW, HIGH, 361)
    ends = [(cell, np.array([cell.angles[which]])) for cell in (start, target)]
    for row, function in enumerate((curve, slopes)):
        for index, name in enumerate(MAPS):
            line, marks = figure.data[2 * (len(MAPS) * row + index) :][:2]
            line.visible = marks.visible = name in shown
            if name not in shown:
                continue
            heights = function(name, target, which, values)
            # A slope of 0, beyond a map's bounds, has no place on a logarithmic axis.
            line.x, line.y = values, np.where(heights == 0.0, np.nan, heights)
            marks.x = np.concatenate([angle for _, angle in ends])
            marks.y = np.concatenate([function(name, cell, which, angle) for cell, angle in ends])
    figure.layout.xaxis4.title.text = f"η = {ANGLES[which]} / °"


def update_paths(figure: go.Figure, paths: dict[str, CellPath]) -> None:
    """Draw the cells of each map along t; maps without a path vanish."""
    for panel in range(len(PANELS)):
        for index, name in enumerate(MAPS):
            line, path = figure.data[(4 + panel) * len(MAPS) + index], paths.get(name)
            line.visible = path is not None
            if path is not None:
                line.x = path.times
                line.y = path.volumes if panel == 0 else path.angles[:, panel - 1]


def update_time(figure: go.Figure, t: float) -> None:
    """Move the lines that mark t."""
    for shape in figure.layout.shapes[-len(PANELS) :]:
        shape.x0 = shape.x1 = t


def _line(name: str) -> dict[str, object]:
    return {"color": COLOUR_OF[name], "width": 2, "dash": DASH.get(name, "solid")}


def cell_figure() -> go.Figure:
    """The cells in 3-D, empty: start, target, and the moving cell of each map."""
    figure = go.Figure()
    for name, colour, width, dash in (
        ("start", START, 3, "dash"), ("target", TARGET, 3, "dash"),
        *((name, COLOUR_OF[name], 6, "solid") for name in MAPS),
    ):  # fmt: skip
        line = {"color": colour, "width": width, "dash": dash}
        figure.add_scatter3d(name=name, mode="lines", line=line, hoverinfo="name")
    figure.add_scatter3d(
        mode="text", showlegend=False, hoverinfo="skip", textfont={"color": GREY, "size": 15}
    )
    themed(figure, 340)
    hidden = {"visible": False, "showspikes": False}
    figure.update_layout(
        scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "manual",
               "camera": {"projection": {"type": "orthographic"},
                          "eye": {"x": 1.1, "y": -1.5, "z": 0.7}}},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        legend={"x": 0, "y": 1, "bgcolor": "rgba(0,0,0,0)"},
    )  # fmt: skip
    return figure


def update_cells(
    figure: go.Figure, start: Cell, target: Cell, moving: dict[str, Cell], labelled: str
) -> None:
    """Draw the cells with a volume; the others vanish.

    Args:
        figure: of `cell_figure`.
        start, target: both ends.
        moving: cell at t of each map that is shown.
        labelled: the map whose cell vectors carry letters.
    """
    cells = {"start": start, "target": target, **moving}
    for trace in figure.data[:-1]:
        cell = cells.get(trace.name)
        drawn = cell is not None and not cell.problem
        trace.visible = drawn
        if cell is not None and drawn:
            trace.x, trace.y, trace.z = outline(cell).T
    letters, named = figure.data[-1], moving.get(labelled)
    drawn = named is not None and not named.problem
    letters.visible = drawn
    if named is not None and drawn:
        # The edges from the origin are those of c, b and a, in this order.
        tips = 1.1 * named.edges[~named.edges[:, 0].any(1), 1]
        letters.x, letters.y, letters.z = tips.T
        letters.text = ["c", "b", "a"]


def frame_cells(figure: go.Figure, cells: Sequence[Cell]) -> None:
    """Fix the axes so that all these cells fit, to scale, and nothing jumps as t moves."""
    ends = np.concatenate([cell.edges.reshape(-1, 3) for cell in cells if not cell.problem])
    low, high = ends.min(0), ends.max(0)
    margin = 0.08 * (high - low).max()
    size = high - low + 2.0 * margin
    scene = figure.layout.scene
    for axis, first, extent in zip("xyz", low - margin, size, strict=True):
        scene[f"{axis}axis"].range = [first, first + extent]
    ratio = 2.3 * size / np.linalg.norm(size)
    scene.aspectratio = dict(zip("xyz", ratio.tolist(), strict=True))


def outline(cell: Cell) -> np.ndarray:
    """(36, 3) the twelve edges as one line with gaps of NaN, in Å."""
    edges = cell.edges
    return np.concatenate([edges, np.full((12, 1, 3), np.nan)], axis=1).reshape(-1, 3)
