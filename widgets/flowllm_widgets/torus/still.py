"""Stills of the torus: squares with points, lines and arrows as they stand at one time, as SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowllm_widgets.shared.chart_svg import INK
from flowllm_widgets.torus.geodesic import geodesic_pieces
from flowllm_widgets.torus.layers import CHOSEN, MOVING, TARGET, Layer

SIDE = 260  # pixels of a square
GAP, TOP, LINE = 16, 22, 18  # pixels between squares, above them, and of a line of the legend
HEAD, SPREAD = 0.32, 0.45  # of an arrow: length of its head over its own, half the opening in rad
SHORTEST = 1e-4  # arrow that is drawn


def panels_svg(panels: Sequence[dict[str, Any]], hidden: Sequence[str], t: float) -> str:
    """Panels of `FlowView` side by side, with the labels of their layers below; "" for none.

    Args:
        panels: titles and layers.
        hidden: names of layers that are switched off.
        t: the time, in [0, 1].
    """
    if not panels:
        return ""
    parts, labels = [], {}
    for place, panel in enumerate(panels):
        drawn = []
        for values in panel["layers"]:
            layer = Layer(**values)
            if layer.name not in hidden:
                labels[layer.label] = layer.colour
                drawn.append(_stroke(layer_path(layer, t), layer))
        parts.append(_square(place, panel["title"], "".join(drawn)))
    bottom = TOP + SIDE + LINE
    for line, (label, colour) in enumerate(labels.items()):
        y = bottom + line * LINE
        parts.append(
            f'<circle cx="8" cy="{y - 4}" r="5" fill="{colour}"/>'
            f'<text x="20" y="{y}">{html.escape(label)}, t = {t:.2f}</text>'
        )
    return _svg(len(panels), bottom + len(labels) * LINE, parts)


def geodesic_svg(start: Sequence[float], end: Sequence[float], middle: Sequence[float]) -> str:
    """Two points, the geodesic between them, and a point on it."""
    pieces = geodesic_pieces(np.asarray(start), np.asarray(end))
    lines = "".join(_line(*piece.reshape(-1)) for piece in pieces)
    dots = "".join(
        f'<path d="{_dot(*point)}" stroke="{colour}" stroke-width="{width}"/>'
        for point, colour, width in ((start, MOVING, 12), (end, TARGET, 12), (middle, CHOSEN, 8))
    )
    way = f'<path d="{lines}" stroke="{INK}" stroke-width="2"/>'
    return _svg(1, TOP + SIDE + LINE, [_square(0, "The geodesic from x to y", way + dots)])


def layer_path(layer: Layer, t: float) -> str:
    """The path of a layer at time t, in pixels of its square; what `flow.js` draws."""
    values, position = layer.values, t * (layer.frames - 1)
    if layer.kind == "points":
        first = min(int(position), max(layer.frames - 2, 0))
        at = values[first].astype(np.float64)
        if layer.frames > 1:
            step = values[first + 1] - at
            at = at + (position - first) * (step - np.round(step) * layer.wrap)
        return "".join(_dot(*point) for point in (at % 1.0 if layer.wrap else at))
    # `Math.round` rounds a half up, numpy to even
    rows = values[int(np.floor(position + 0.5))]
    rows = rows[~np.isnan(rows).any(-1)]
    return "".join((_line if layer.kind == "lines" else _arrow)(*row) for row in rows.tolist())


def _dot(x: float, y: float) -> str:
    return f"M{SIDE * x:.1f} {SIDE * (1 - y):.1f}h0"


def _line(x: float, y: float, a: float, b: float) -> str:
    return f"M{SIDE * x:.1f} {SIDE * (1 - y):.1f}L{SIDE * a:.1f} {SIDE * (1 - b):.1f}"


def _arrow(x: float, y: float, a: float, b: float) -> str:
    """From (x, y) by (a, b), with a head."""
    length, tip = float(np.hypot(a, b)), (x + a, y + b)
    if length < SHORTEST:
        return ""
    back = np.arctan2(b, a) + np.pi
    sides = [
        (tip[0] + HEAD * length * np.cos(back + turn), tip[1] + HEAD * length * np.sin(back + turn))
        for turn in (SPREAD, -SPREAD)
    ]
    return _line(x, y, *tip) + "".join(_line(*side, *tip) for side in sides)


def _stroke(path: str, layer: Layer) -> str:
    width = layer.size * SIDE / 1000
    return (
        f'<path d="{path}" stroke="{layer.colour}" stroke-width="{width:.2f}" '
        f'stroke-opacity="{layer.opacity}"/>'
    )


def _square(place: int, title: str, inside: str) -> str:
    left = place * (SIDE + GAP) + 1
    return (
        f'<g transform="translate({left} {TOP})"><text x="0" y="-7">{html.escape(title)}</text>'
        f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="{INK}" stroke-opacity="0.5"/>'
        f'<svg width="{SIDE}" height="{SIDE}" fill="none" stroke-linecap="round">{inside}</svg></g>'
    )


def _svg(squares: int, height: int, parts: Sequence[str]) -> str:
    width = squares * (SIDE + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="system-ui,sans-serif" font-size="12" fill="{INK}">{"".join(parts)}</svg>'
    )
