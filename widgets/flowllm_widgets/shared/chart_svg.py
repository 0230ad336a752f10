"""A plotly figure as SVG without a browser, for saved notebooks.

Points, lines, bars, error bars, texts, lines of the layout and the legend are drawn, on plane axes,
in triangles, and of 3-D figures the view from the camera; surfaces are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowllm_widgets.shared.chart_axes import Axis, plain
from flowllm_widgets.shared.chart_plain import Plain, plain_figure
from flowllm_widgets.shared.chart_traces import (
    colour_of,
    draw_trace,
    plane_of,
    values_of,
    visible,
)

WIDTH = 760
INK = "#737d8c"  # contrast of 4.2 on white, of 4.5 on a dark page
GRID = "rgba(138,148,166,0.3)"
LINE = 18  # pixels of a line of the legend


def chart_svg(figure: Any, width: int = WIDTH) -> str:
    """The current figure, without background; empty if it has nothing to show.

    Args:
        figure: plotly's, or its plain values.
        width: in pixels; the height is that of the layout.
    """
    values = plain_figure(figure)
    traces = [trace for trace in Plain(values).each("data") if visible(trace)]
    if not traces:
        return ""
    layout = Plain(values["layout"])
    height = float(layout.height or 320)
    side = {name: _or(getattr(layout.margin, name), 40) for name in "lrtb"}
    box = (side["l"], side["t"], width - side["r"], height - side["b"])
    panels = _panels(traces, layout, box)
    parts: list[str] = []
    for panel in panels.values():
        parts.append(_frame(panel))
    for trace, points in _values(traces, panels, layout):
        parts.append(draw_trace(trace, points, panels[plane_of(trace)], traces, layout))
    parts += [_shape(shape, panels, box) for shape in layout.each("shapes")]
    parts += [_note(note, panels, box) for note in layout.each("annotations")]
    keys, more = ("", 0.0) if layout.showlegend is False else _legend(traces, width, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + more:.0f}" '
        f'width="{width}" font-family="system-ui,sans-serif" font-size="12" fill="{INK}">'
        f"{''.join(parts)}{keys}</svg>"
    )


def _panels(
    traces: list[Any], layout: Plain, box: tuple[float, float, float, float]
) -> dict[tuple[str, str], tuple[Axis, Axis]]:
    """The axes of each panel that has a trace, with their ranges."""
    left, top, right, bottom = box
    panels: dict[tuple[str, str], tuple[Axis, Axis]] = {}
    for trace in traces:
        plane = plane_of(trace)
        if plane in panels:
            continue
        if plane[0] == plane[1]:  # a triangle or a scene
            domain = layout[plane[0]]["domain"]
            across, up = _or(domain.x, (0, 1)), _or(domain.y, (0, 1))
            x, y = Axis(0, 0), Axis(0, 0)
        else:
            owns = [layout[f"{name[0]}axis{name[1:]}"] for name in plane]
            across, up = (_or(own.domain, (0, 1)) for own in owns)
            x, y = (Axis(0, 0, logarithmic=own.type == "log", own=own) for own in owns)
        x.start, x.stop = (left + share * (right - left) for share in across)
        y.start, y.stop = (bottom - share * (bottom - top) for share in up)
        panels[plane] = (x, y)
    for plane, (x, y) in panels.items():
        mine = [trace for trace in traces if plane_of(trace) == plane]
        held = [values for trace, values in _values(mine, panels, layout)]
        if plane[0] == plane[1]:
            _to_scale(x, y, held)
            continue
        bars = any(trace.type == "bar" for trace in mine)
        x.fit([v[0] for v in held])
        zero = bars or getattr(y.own, "rangemode", None) == "tozero"
        heights = [v[1] for v in held]
        if bars and layout.barmode in ("stack", "relative"):
            heights.append(np.nansum(np.stack([v[1] for v in held]), axis=0))
        y.fit(heights, zero)
    return panels


def _values(
    traces: list[Any], panels: dict[tuple[str, str], tuple[Axis, Axis]], layout: Plain
) -> list[tuple[Any, tuple[np.ndarray, np.ndarray]]]:
    return [(trace, values_of(trace, *panels[plane_of(trace)], layout)) for trace in traces]


def _to_scale(x: Axis, y: Axis, held: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """One scale for both axes, all of it in the panel."""
    across, up = (np.concatenate([np.ravel(v[k]) for v in held]) for k in (0, 1))
    known = np.isfinite(across) & np.isfinite(up)
    across, up = across[known], up[known]
    if not len(across):
        return
    wide, high = abs(x.stop - x.start), abs(y.stop - y.start)
    scale = 1.1 * max(np.ptp(across) / wide, np.ptp(up) / high) or 1.0
    for axis, values, length in ((x, across, wide), (y, up, high)):
        middle = (values.min() + values.max()) / 2
        axis.low, axis.high = middle - scale * length / 2, middle + scale * length / 2


def _frame(panel: tuple[Axis, Axis]) -> str:
    """Grid, ticks and titles of a panel with plane axes."""
    x, y = panel
    if x.own is None:
        return ""
    left, right, low, high = x.start, x.stop, y.start, y.stop
    parts = []
    for axis, upright in ((x, True), (y, False)):
        if axis.own.visible is False:
            continue
        for value, text in axis.ticks():
            if not axis.low - 1e-9 <= value <= axis.high + 1e-9:
                continue
            at = float(axis.at(value))
            if axis.own.showgrid is not False:
                d = f"M{at:.1f} {low}V{high}" if upright else f"M{left} {at:.1f}H{right}"
                parts.append(f'<path d="{d}" stroke="{GRID}"/>')
            if axis.own.showticklabels is False:
                continue
            place = (
                f'x="{at:.1f}" y="{low + 15}" text-anchor="middle"'
                if upright
                else f'x="{left - 5}" y="{at + 4:.1f}" text-anchor="end"'
            )
            parts.append(f'<text font-size="11" {place}>{plain(text)}</text>')
        title = plain(axis.own.title.text)
        if title and upright:
            parts.append(_text((left + right) / 2, low + 33, title, "middle"))
        elif title:
            at, middle = left - 40, (low + high) / 2
            turned = f'transform="rotate(-90 {at} {middle})"'
            parts.append(_text(at, middle, title, "middle", turned))
    parts.append(f'<path d="M{left} {low}H{right}" stroke="{INK}" stroke-opacity="0.6"/>')
    return "".join(parts)


def _place(
    reference: str,
    value: Any,
    which: int,
    panels: dict[tuple[str, str], tuple[Axis, Axis]],
    box: tuple[float, float, float, float],
) -> float | None:
    """Pixels of a coordinate along x (0) or y (1): of the paper, of a panel, or of its values."""
    if value is None:
        return None
    if reference == "paper":
        low, high = ((box[0], box[2]), (box[3], box[1]))[which]
        return low + float(value) * (high - low)
    name, _, domain = str(reference).partition(" ")
    for plane, axes in panels.items():
        if plane[which] == name and plane[0] != plane[1]:
            axis = axes[which]
            if domain:
                return axis.start + float(value) * (axis.stop - axis.start)
            return float(axis.at(axis.numbers([value]))[0])
    return None


def _shape(shape: Any, panels: Any, box: Any) -> str:
    """A line of the layout, with its label; other shapes are rare and left out."""
    ends = [
        _place(getattr(shape, f"{'xy'[k]}ref") or "paper", getattr(shape, f"{'xy'[k]}{end}"), k,
               panels, box)
        for end in (0, 1)
        for k in (0, 1)
    ]  # fmt: skip
    if shape.type != "line" or any(end is None for end in ends):
        return ""
    x0, y0, x1, y1 = (float(end) for end in ends if end is not None)
    dash = "" if (shape.line.dash or "solid") == "solid" else ' stroke-dasharray="3 3"'
    line = (
        f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{shape.line.color or INK}" '
        f'stroke-width="{_or(shape.line.width, 2)}"{dash}/>'
    )
    label = plain(shape.label.text)
    return line + (_text(x1, min(y0, y1) - 5, label, "middle") if label else "")


def _note(note: Any, panels: Any, box: Any) -> str:
    """An annotation, as text where it points."""
    if note.visible is False or not note.text:
        return ""
    x = _place(note.xref or "paper", note.x, 0, panels, box)
    y = _place(note.yref or "paper", note.y, 1, panels, box)
    if x is None or y is None:
        return ""
    anchors = {"left": "start", "right": "end"}
    anchor = anchors.get(note.xanchor or "", "middle")
    shift = {"bottom": -4, "top": 12}.get(note.yanchor or "", 4)
    return _text(x, y + shift, plain(note.text), anchor)


def _legend(traces: list[Any], width: int, height: float) -> tuple[str, float]:
    """The names of the traces below the chart, and the pixels that they take."""
    named = [t for t in traces if t.name and t.showlegend is not False]
    named = list({(t.name, colour_of(t)): t for t in named}.values())
    if len(named) < 2:
        return "", 0.0
    x, y, parts = 12.0, height + LINE - 5, []
    for trace in named:
        length = 26 + 6.6 * len(plain(trace.name))
        if x + length > width and x > 12:
            x, y = 12.0, y + LINE
        tint = colour_of(trace)
        parts.append(
            f'<rect x="{x}" y="{y - 9}" width="10" height="10" rx="3" fill="{tint}"/>'
            + _text(x + 15, y, plain(trace.name), "start")
        )
        x += length
    return "".join(parts), y - height + 8


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{text}</text>'


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value
