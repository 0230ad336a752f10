"""Stills: static views of a widget for pages without a kernel.

`still_html` writes down a widget with all that it holds, as it stands: crystals and charts as
pictures, tables and texts as HTML. A saved notebook keeps that beside the widget, and `make pages`
publishes it.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from typing import Any

import ipywidgets

from flowllm_widgets.shared.chart_svg import chart_svg

ROWS = 10  # of a long table
ACROSS = "display:flex;flex-wrap:wrap;gap:4px 12px;align-items:flex-start"
SMALL = "color:#6b7686;font-size:0.85em"
BESIDE = "flex:1 1 300px;min-width:0"
SILENT = (
    ipywidgets.Play, ipywidgets.Image, ipywidgets.FileUpload, ipywidgets.Button,
    ipywidgets.Checkbox,
)  # fmt: skip

Picture = Callable[[str], str]
"""From SVG to HTML."""
Chart = Callable[[Any], str]
"""From a plotly figure, or its plain values, to HTML."""


def as_image(svg: str, words: str = "") -> str:
    """SVG as an image, which every page shows that shows images; no page takes scripts from it."""
    if not svg:
        return ""
    said = re.search(r'aria-label="([^"]*)"', svg)
    text = words or (said[1] if said else "")
    code = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{text}" style="max-width:100%" src="data:image/svg+xml;base64,{code}">'


def chart_image(figure: Any) -> str:
    """A chart as an image."""
    return as_image(chart_svg(figure), "chart")


def still_html(widget: Any, chart: Chart = chart_image, picture: Picture = as_image) -> str:
    """A widget and its children as HTML, without what only a browser can draw.

    A part that can say itself what it shows has a method `still`, which gives HTML.

    Args:
        widget: any of ipywidgets.
        chart: what becomes of a chart.
        picture: what becomes of a crystal's drawing.
    """
    if hasattr(widget, "to_plotly_json"):
        return chart(_standing(widget))
    layout = getattr(widget, "layout", None)
    if layout is not None and (layout.display == "none" or layout.visibility == "hidden"):
        return ""
    if hasattr(widget, "svg"):
        drawn = picture(widget.svg())
        keys = getattr(getattr(widget, "legend", None), "value", "")
        return f'<div class="still-box">{drawn}</div>{bare(keys)}' if drawn else ""
    if not hasattr(widget, "children") and callable(getattr(widget, "still", None)):
        return str(widget.still())
    rows: Any = getattr(widget, "rows", None)
    if hasattr(rows, "to_html"):
        return table_html(rows)
    if hasattr(widget, "children"):  # a bar of progress is at its end
        return "" if type(widget).__name__ == "TqdmHBox" else _box(widget, chart, picture)
    return _value(widget)


def bare(text: str) -> str:
    """HTML of a live widget without its sheets of style, and the classes by which it is found."""
    text = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return re.sub(r' class="flowllm[^"]*"', "", text)


def table_html(rows: Any) -> str:
    """The first rows of a pandas table."""
    table = str(rows.head(ROWS).to_html(index=False, float_format="%.4g", border=0))
    rest = f'<p style="{SMALL}">The first {ROWS} of {len(rows)} rows.</p>'
    return table + rest if len(rows) > ROWS else table


def _standing(figure: Any) -> Any:
    """The still of a chart: itself, or its own replacement."""
    instead = getattr(figure, "as_still", None)
    return figure if instead is None else instead()


def _value(widget: Any) -> str:
    """A text, or a control with what it is set to."""
    value = getattr(widget, "value", None)
    if value in (None, "", ()) or isinstance(widget, SILENT):
        return ""
    if isinstance(widget, ipywidgets.HTML | ipywidgets.HTMLMath):
        return bare(str(value))
    label = html.escape(str(getattr(widget, "description", "")))
    chosen = html.escape(str(getattr(widget, "label", value)))
    return f'<div class="control" style="{SMALL}">{label} <b>{chosen}</b></div>'


def _box(box: Any, chart: Chart, picture: Picture) -> str:
    children = list(box.children)
    if isinstance(box, ipywidgets.Stack | ipywidgets.Tab):
        chosen = box.selected_index
        return still_html(children[chosen], chart, picture) if chosen is not None else ""
    inside = [text for child in children if (text := still_html(child, chart, picture))]
    if not inside:
        return ""
    flow = box.layout.flex_flow or ""
    if isinstance(box, ipywidgets.HBox | ipywidgets.GridBox) or flow.startswith("row"):
        held = "".join(
            text
            if text.startswith('<div class="control"')
            else f'<div style="{BESIDE}">{text}</div>'
            for text in inside
        )
        return f'<div style="{ACROSS}">{held}</div>'
    return f"<div>{''.join(inside)}</div>"
