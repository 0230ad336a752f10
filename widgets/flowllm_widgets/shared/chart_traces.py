"""The traces of a plotly figure as SVG."""

from __future__ import annotations

import html
from collections import defaultdict
from typing import Any

import numpy as np

from flowllm_widgets.shared.chart_axes import Axis, plain
from flowllm_widgets.shared.chart_plain import Plain

PLANE = ("scatter", "scattergl", "bar")
DRAWN = (*PLANE, "scatterternary", "scatter3d")
MOST = 3000  # points of a trace; of more an even choice is drawn
DASHES = {"dot": "2 4", "dash": "7 5", "longdash": "11 5", "dashdot": "7 4 2 4"}
GREY = "#8a94a6"
EYE = {"x": 1.25, "y": 1.25, "z": 1.25}  # plotly's own
CORNERS = {  # of symbols, about their middle, for a size of 1
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "triangle-up": ((0, -1.1), (1.1, 0.9), (-1.1, 0.9)),
    "triangle-down": ((0, 1.1), (1.1, -0.9), (-1.1, -0.9)),
}


def visible(trace: Any) -> bool:
    """Whether any of a trace is drawn here."""
    return trace.type in DRAWN and trace.visible in (None, True)


def plane_of(trace: Any) -> tuple[str, str]:
    """The key of a trace's panel."""
    if trace.type in PLANE:
        return trace.xaxis or "x", trace.yaxis or "y"
    name = trace.scene or "scene" if trace.type == "scatter3d" else trace.subplot or "ternary"
    return name, name


def colour_of(trace: Any) -> str:
    """The representative colour of a trace."""
    for one in (trace.marker.color, trace.line.color):
        if isinstance(one, str):
            return one
    return GREY


def values_of(trace: Any, x: Axis, y: Axis, layout: Plain) -> tuple[np.ndarray, np.ndarray]:
    """Its points in the units of the axes of its panel."""
    if trace.type in PLANE:
        up, across = _list(trace.y), _list(trace.x)
        across = across if len(across) else list(range(len(up)))
        count = min(len(across), len(up))
        return x.numbers(across[:count]), y.numbers(up[:count])
    if trace.type == "scatterternary":
        a, b, c = (np.asarray(_list(v), dtype=float) for v in (trace.a, trace.b, trace.c))
        total = np.where(a + b + c > 0, a + b + c, 1.0)
        return (c + a / 2) / total, a / total * np.sqrt(3) / 2
    points = np.array([_list(v) for v in (trace.x, trace.y, trace.z)], dtype=float)
    eye = layout[trace.scene or "scene"].camera.eye
    return _seen(points.reshape(3, -1), eye)


def _seen(points: np.ndarray, camera: Plain) -> tuple[np.ndarray, np.ndarray]:
    """Points (3, N) as the camera of their scene sees them, without perspective."""
    eye = EYE | {axis: value for axis, value in camera.values.items() if value is not None}
    towards = np.array([eye[axis] for axis in "xyz"], dtype=float)
    towards /= np.linalg.norm(towards)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right) or 1.0
    return right @ points, np.cross(towards, right) @ points


def draw_trace(
    trace: Any,
    values: tuple[np.ndarray, np.ndarray],
    panel: tuple[Axis, Axis],
    traces: list[Any],
    layout: Plain,
) -> str:
    """One trace.

    Args:
        trace: plotly's.
        values: its points, of `values_of`.
        panel: the axes of its panel.
        traces: all of the figure, beside or on which bars stand.
        layout: of the figure.
    """
    x, y = panel
    if trace.type == "bar":
        return _bars(trace, values, panel, traces, layout)
    across, up = x.at(values[0]), y.at(values[1])
    mode = trace.mode or "lines+markers"
    parts = []
    if "lines" in mode:
        parts.append(_line(trace, across, up, y))
    parts.append(_errors(trace, values, panel))
    if "markers" in mode:
        parts.append(_markers(trace, across, up))
    if "text" in mode and trace.text is not None:
        above = 0 if mode == "text" else 8
        ending = isinstance(trace.textposition, str) and trace.textposition.endswith("right")
        aside, anchor = (5, "start") if ending else (0, "middle")
        texts = [trace.text] * len(across) if isinstance(trace.text, str) else trace.text
        for left, top, text in zip(across, up, texts, strict=False):
            if np.isfinite(left + top) and text:
                parts.append(
                    f'<text x="{left + aside:.1f}" y="{top - above:.1f}" text-anchor="{anchor}">'
                    f"{plain(text)}</text>"
                )
    return "".join(parts)


def _line(trace: Any, across: np.ndarray, up: np.ndarray, y: Axis) -> str:
    path, open_ = [], False
    for left, top in zip(across, up, strict=True):
        if not np.isfinite(left + top):
            open_ = False
        elif not open_:
            path.append(f"M{left:.1f} {top:.1f}")
            open_ = True
        elif trace.type == "scatter" and trace.line.shape == "hv":
            path.append(f"H{left:.1f}V{top:.1f}")
        else:
            path.append(f"L{left:.1f} {top:.1f}")
    if not path:
        return ""
    d = "".join(path)
    dash = DASHES.get(trace.line.dash or "solid", "")
    dash = f' stroke-dasharray="{dash}"' if dash else ""
    width = 2 if trace.line.width is None else trace.line.width
    tint = html.escape(str(trace.line.color or colour_of(trace)), quote=True)
    filled = ""
    if trace.type == "scatter" and trace.fill in ("tozeroy", "toself"):
        ground = float(y.at(max(0.0, y.low)))
        ends = across[np.isfinite(across)]
        closing = f"L{ends[-1]:.1f} {ground:.1f}L{ends[0]:.1f} {ground:.1f}Z"
        area = d + (closing if trace.fill == "tozeroy" else "Z")
        filled = f'<path d="{area}" fill="{trace.fillcolor or tint}" stroke="none"/>'
    if not width:
        return filled
    return f'{filled}<path d="{d}" fill="none" stroke="{tint}" stroke-width="{width}"{dash}/>'


def _errors(trace: Any, values: tuple[np.ndarray, np.ndarray], panel: tuple[Axis, Axis]) -> str:
    """The error bars along y, if there are some."""
    error = trace.error_y
    if error.array is None:
        return ""
    x, y = panel
    more = np.asarray(_list(error.array), dtype=float)
    less = more if error.arrayminus is None else np.asarray(_list(error.arrayminus), dtype=float)
    at, low, high = x.at(values[0]), y.at(values[1] - less), y.at(values[1] + more)
    d = "".join(
        f"M{left:.1f} {a:.1f}V{b:.1f}M{left - 3:.1f} {a:.1f}h6M{left - 3:.1f} {b:.1f}h6"
        for left, a, b in zip(at, low, high, strict=True)
        if np.isfinite(left + a + b)
    )
    tint = error.color or colour_of(trace)
    return f'<path d="{d}" stroke="{tint}" stroke-width="1.5" fill="none"/>'


def _markers(trace: Any, across: np.ndarray, up: np.ndarray) -> str:
    """Points of one look in one path."""
    marker = trace.marker
    count = len(across)
    tints = _each(marker.color, count, colour_of(trace))
    sizes = _each(marker.size, count, 6)
    shapes = _each(marker.symbol, count, "circle")
    kept = np.flatnonzero(np.isfinite(across + up))
    if len(kept) > MOST:
        kept = kept[np.linspace(0, len(kept) - 1, MOST).astype(int)]
    groups: dict[tuple[str, float, str], list[int]] = defaultdict(list)
    for place in kept.tolist():
        tint = tints[place] if isinstance(tints[place], str) else GREY
        groups[tint, float(sizes[place]), str(shapes[place])].append(place)
    opacity = marker.opacity if isinstance(marker.opacity, int | float) else 1
    return "".join(
        _dots(tint, size, shape, across[places], up[places], opacity)
        for (tint, size, shape), places in groups.items()
    )


def _dots(
    tint: str, size: float, shape: str, across: np.ndarray, up: np.ndarray, opacity: float
) -> str:
    tint = html.escape(tint, quote=True)
    corners = CORNERS.get(shape.removesuffix("-open"))
    if shape.endswith("-open"):
        style = f'fill="none" stroke="{tint}" stroke-width="2"'
        if not corners:
            return "".join(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size / 2:.1f}" {style}/>'
                for x, y in zip(across, up, strict=True)
            )
    else:
        style = f'fill="{tint}" opacity="{opacity}"'
    if corners is None:  # a path of no length with round ends is a dot
        d = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(across, up, strict=True))
        return (
            f'<path d="{d}" stroke="{tint}" stroke-width="{size:g}" stroke-linecap="round" '
            f'opacity="{opacity}"/>'
        )
    half = size / 2
    d = "".join(
        "M" + "L".join(f"{x + half * dx:.1f} {y + half * dy:.1f}" for dx, dy in corners) + "Z"
        for x, y in zip(across, up, strict=True)
    )
    return f'<path d="{d}" {style}/>'


def _bars(
    trace: Any,
    values: tuple[np.ndarray, np.ndarray],
    panel: tuple[Axis, Axis],
    traces: list[Any],
    layout: Plain,
) -> str:
    x, y = panel
    beside = [t for t in traces if t.type == "bar" and plane_of(t) == plane_of(trace)]
    own = beside.index(trace)
    centres, heights = values
    if not len(centres):
        return ""
    known = np.unique(centres)
    step = float(np.diff(known).min()) if len(known) > 1 else (x.high - x.low) / 4
    width = 0.8 * step if trace.width is None else float(np.ravel(trace.width)[0])
    ground = np.zeros(len(centres))
    if layout.barmode in ("stack", "relative"):
        for other in beside[:own]:
            below = values_of(other, x, y, layout)[1]
            ground = ground + np.nan_to_num(below)
    elif layout.barmode != "overlay":
        width /= len(beside)
        centres = centres + (own - (len(beside) - 1) / 2) * width
    left, right = x.at(centres - width / 2), x.at(centres + width / 2)
    low, high = y.at(ground), y.at(ground + heights)
    tints = _each(trace.marker.color, len(centres), GREY)
    shades = _each(trace.marker.opacity, len(centres), 1)
    return "".join(
        f'<rect x="{a:.1f}" y="{min(b, c):.1f}" width="{d - a:.1f}" height="{abs(c - b):.1f}" '
        f'fill="{tint if isinstance(tint, str) else GREY}" opacity="{shade:g}"/>'
        for a, d, b, c, tint, shade in zip(left, right, low, high, tints, shades, strict=True)
        if np.isfinite(c) and b != c
    )


def _each(value: Any, count: int, otherwise: Any) -> list[Any]:
    """A setting of each point."""
    if value is None:
        return [otherwise] * count
    if isinstance(value, str | int | float):
        return [value] * count
    given = list(value)
    return [given[k % len(given)] for k in range(count)] if given else [otherwise] * count


def _list(values: Any) -> list[Any]:
    return [] if values is None else list(values)
