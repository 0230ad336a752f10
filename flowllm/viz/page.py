"""Pages of one HTML file that load nothing: templates, style, script and plotly.js in one.

A page is a title, a line below it and a list of sections. A section is made by one of the functions
below from plain data; the templates lie in `templates/`, and whatever they are given is escaped
unless it is `Markup`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from flowllm.viz import colours

if TYPE_CHECKING:
    import jinja2
    import plotly.graph_objects as go

ROOM = "templates"


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("flowllm.viz", ROOM),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def fill(template: str, **values: Any) -> Markup:
    """A template of `templates/` with its values, which are escaped unless they are `Markup`."""
    return Markup(_templates().get_template(template).render(values))


def resource(name: str) -> Markup:
    """The text of a style or script of `templates/`."""
    return Markup(files("flowllm.viz").joinpath(ROOM, name).read_text("utf-8"))


def script_json(value: Any) -> Markup:
    """JSON for a script element, escaped so that it cannot end the element or open a comment.

    Args:
        value: what JSON can hold, or a str that is JSON already.

    Raises:
        ValueError: a number that is not finite.
    """
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, separators=(",", ":"), allow_nan=False)
    )
    return Markup(text.replace("<", "\\u003c"))


def render(
    title: str,
    lead: str,
    sections: Iterable[Markup],
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
) -> str:
    """The whole page around its sections, with style, script and plotly.js inside.

    Args:
        title: heading of the page.
        lead: a line below it.
        sections: in their order.
        styles: names of more styles in `templates/`, after the page's.
        scripts: names of more scripts there, before the page's.
    """
    from plotly.offline import get_plotlyjs

    return fill(
        "page.html",
        title=title,
        lead=lead,
        sections=sections,
        colours=colours,
        styles=[resource(name) for name in ("page.css", *styles)],
        scripts=[resource(name) for name in (*scripts, "page.js")],
        plotly=Markup(get_plotlyjs()),
    )


def figure_place(name: str, figure: go.Figure, label: str) -> Markup:
    """A place for a figure and its JSON; the page's script draws it when it comes into view."""
    text = figure.update_layout(template="none").to_json() or ""
    height = figure.layout.height
    return fill("figure.html", name=name, label=label, height=height, json=script_json(text))


def tiles(rows: Iterable[tuple[str, str, str]]) -> Markup:
    """The most important figures, large: (name, value, note)."""
    return fill("tiles.html", tiles=rows)


def chart_cards(
    heading: str, cards: Iterable[tuple[str, Markup]], keys: Sequence[tuple[str, str]] = ()
) -> Markup:
    """Charts side by side.

    Args:
        heading: of the section.
        cards: title and `figure_place` of each.
        keys: the legend above them: class of the style sheet and name.
    """
    return fill("charts.html", heading=heading, cards=cards, keys=keys)


def table(
    heading: str,
    name: str,
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    lead: str = "",
) -> Markup:
    """A table that a click on a heading sorts.

    Args:
        heading: of the section.
        name: of the table in the page.
        rows: column -> value; an absent one is empty.
        columns: those shown.
        lead: a line above it.
    """
    cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    return fill("table.html", heading=heading, name=name, columns=columns, rows=cells, lead=lead)


def named_values(heading: str, groups: Iterable[tuple[str, Mapping[str, Any]]]) -> Markup:
    """Names and values, in groups with a title each; an empty one for none."""
    return fill("settings.html", heading=heading, groups=groups)


def _cell(value: Any) -> Any:
    """A number, flag or text of Python, which the template tells apart."""
    return value.item() if isinstance(value, np.generic) else value
