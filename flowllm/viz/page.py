"""The page itself: figures, tables and settings in one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.metrics.validity import structural_validity
from flowllm.viz.figures import (
    AXES,
    TITLES,
    choose_diverse,
    distribution_figure,
    histograms,
    path_figure,
    structure_figure,
)
from flowllm.viz.structure3d import colour

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 6
MAX_ROWS = 500  # rows of the table of crystals


def write_report(
    path: str | Path,
    *,
    title: str,
    prior: CrystalBatch,
    refined: CrystalBatch,
    rows: Sequence[Mapping[str, Any]],
    stages: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    trajectories: Trajectory | None = None,
    reference: Mapping[str, Sequence[float]] | None = None,
    reference_name: str = "MP-20",
    shown: int = SHOWN,
) -> None:
    """Write a page of one file that opens without any network.

    Args:
        path: the HTML file to write.
        title: heading of the page.
        prior: what the language model wrote.
        refined: what the flow made of it; the same ids.
        rows: per refined crystal: id, formula, prompt, valid_structure, valid_composition.
        stages: per stage: stage, crystals, rejected, seconds.
        settings: names and values.
        trajectories: of the refinement, for the path that the atoms take; None leaves it out.
        reference: `figures.histograms` of a data set, drawn behind the distributions.
        reference_name: its name.
        shown: crystals in 3-D; each takes two WebGL contexts, and browsers keep at most 16.

    Raises:
        OSError: the file cannot be written.
    """
    sections = [
        _tiles(prior, refined, rows),
        _crystals(prior, refined, rows, shown),
        _distributions(prior, refined, reference, reference_name, trajectories),
        _table_section("Stages", "stages", stages, ("stage", "crystals", "rejected", "seconds")),
        _settings(settings),
        _all_crystals(rows),
    ]
    lead = f"{len(refined)} crystals, written by a language model and refined by a flow."
    Path(path).write_text(render(title, lead, sections), encoding="utf-8")


def render(title: str, lead: str, sections: Sequence[str]) -> str:
    """The whole page around its sections, with style, script and plotly.js inside."""
    from plotly.offline import get_plotlyjs

    room = files("flowllm.viz")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{room.joinpath('page.css').read_text('utf-8')}</style>\n"
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>"
        f"<p>{escape(lead)}</p></header>\n<main>\n{''.join(sections)}</main>\n"
        f"<script>\n{room.joinpath('page.js').read_text('utf-8')}</script>\n</body>\n</html>\n"
    )


def _tiles(prior: CrystalBatch, refined: CrystalBatch, rows: Sequence[Mapping[str, Any]]) -> str:
    tiles = [
        ("crystals", str(len(refined)), ""),
        (
            "valid structures",
            _percent([row["valid_structure"] for row in rows]),
            f"prior {_percent(structural_validity(prior))}",
        ),
        ("valid compositions", _percent([row["valid_composition"] for row in rows]), "SMACT"),
        ("distinct formulas", str(len({row["formula"] for row in rows})), f"of {len(rows)}"),
        (
            "atoms per cell",
            f"{refined.num_atoms.mean():.1f}" if len(refined) else "–",
            "on average",
        ),
    ]
    boxes = (
        f'<div class="tile"><dt>{name}</dt><dd>{value}</dd><small>{note}</small></div>'
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{"".join(boxes)}</dl>\n'


def _crystals(
    prior: CrystalBatch, refined: CrystalBatch, rows: Sequence[Mapping[str, Any]], shown: int
) -> str:
    valid = {
        str(row["id"]): bool(row["valid_structure"] and row["valid_composition"]) for row in rows
    }
    begun = {str(name): index for index, name in enumerate(prior.ids)}
    cards = []
    for place, index in enumerate(choose_diverse(refined, valid, shown)):
        after = refined[index]
        start = begun.get(str(after.ids[0]))
        before = prior[start] if start is not None and prior.volumes[start] > 0 else None
        name = after.formulas[0]
        figure = figure_place(
            f"crystal-{place}",
            structure_figure(before, after),
            f"{name} in 3-D" + (", before and after refinement" if before is not None else ""),
        )
        captions = "<span>before</span><span>after</span>" if before is not None else ""
        cards.append(
            f'<article class="card"><h3>{_formula(name)} <small>{escape(str(after.ids[0]))} · '
            f'{int(after.num_atoms[0])} atoms</small></h3><div class="pair">{captions}</div>'
            f'{figure}<p class="legend">{_legend(before, after)}</p>'
            f"{_cell_table(before, after)}</article>"
        )
    if not cards:
        return ""
    return (
        "<section><h2>Before and after refinement</h2><p>Some of the valid crystals, chosen to "
        "differ. Drag to turn both views, scroll to zoom; the arrow keys turn a view that has the "
        f'focus.</p><div class="cards">{"".join(cards)}</div></section>\n'
    )


def _cell_table(before: CrystalBatch | None, after: CrystalBatch) -> str:
    lines = []
    for label, crystal in (("before", before), ("after", after)):
        if crystal is not None:
            lengths = " ".join(f"{x:.2f}" for x in crystal.lengths[0])
            angles = " ".join(f"{x:.1f}" for x in crystal.angles[0])
            lines.append(f"<tr><th>{label}</th><td>{lengths} Å</td><td>{angles} °</td></tr>")
    return f'<table class="cell">{"".join(lines)}</table>'


def _legend(before: CrystalBatch | None, after: CrystalBatch) -> str:
    shown = CrystalBatch.concatenate([after] if before is None else [before, after])
    return "".join(
        f'<span><i style="background:{colour(int(n))}"></i>{SYMBOLS[n]}</span>'
        for n in np.unique(shown.atomic_numbers)
    )


def _distributions(
    prior: CrystalBatch,
    refined: CrystalBatch,
    reference: Mapping[str, Sequence[float]] | None,
    reference_name: str,
    trajectories: Trajectory | None,
) -> str:
    first, last = histograms(prior), histograms(refined)
    cards = []
    for name, heading in TITLES.items():
        behind = reference.get(name) if reference else None
        figure = distribution_figure(name, first[name], last[name], behind)
        label = f"{heading}, {AXES[name]}: prior and refined crystals"
        cards.append(
            f'<article class="card"><h3>{heading}</h3>{figure_place(name, figure, label)}</article>'
        )
    if trajectories is not None and len(trajectories) > 1:
        figure = path_figure(trajectories)
        heading = "How far the flow moves the atoms"
        cards.append(
            f'<article class="card"><h3>{heading}</h3>'
            f"{figure_place('path', figure, heading)}</article>"
        )
    keys = '<span><i class="prior"></i>prior</span><span><i class="refined"></i>refined</span>'
    if reference:
        keys += f'<span><i class="reference"></i>{escape(reference_name)}</span>'
    return (
        f'<section><h2>Distributions</h2><p class="legend">{keys}</p>'
        f'<div class="cards">{"".join(cards)}</div></section>\n'
    )


def figure_place(name: str, figure: go.Figure, label: str) -> str:
    """A place for a figure and its JSON; the page's script draws it when it comes into view."""
    text = (figure.update_layout(template="none").to_json() or "").replace("</", "<\\/")
    height = figure.layout.height
    return (
        f'<div class="figure" id="{name}" role="img" tabindex="0" aria-label="{escape(label)}" '
        f'style="height:{height}px"></div>'
        f'<script type="application/json" data-figure="{name}">{text}</script>'
    )


def _all_crystals(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = ("id", "formula", "valid_structure", "valid_composition", "prompt")
    shown = [
        {**{c: row.get(c, "") for c in columns}, "prompt": _conditions(str(row.get("prompt", "")))}
        for row in rows[:MAX_ROWS]
    ]
    note = "" if len(rows) <= MAX_ROWS else f"The first {MAX_ROWS} of {len(rows)}. "
    search = (
        f"<p>{note}A click on a heading sorts.</p>"
        '<label>Filter <input type="search" id="filter" placeholder="id, formula, prompt"></label>'
    )
    return _table_section("Crystals", "crystals", shown, columns, search)


def _conditions(prompt: str) -> str:
    """A prompt without the frame that every prompt has."""
    from flowllm.text.prompts import OPENING, REQUEST

    return prompt.replace(OPENING, "").replace(REQUEST, "").strip()


def _settings(settings: Mapping[str, Any]) -> str:
    pairs = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in settings.items()
    )
    return f'<section><h2>Settings</h2><dl class="settings">{pairs}</dl></section>\n'


def _table_section(
    heading: str,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    before: str = "",
) -> str:
    head = "".join(
        f'<th scope="col"><button type="button">{c.replace("_", " ")}</button></th>'
        for c in columns
    )
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(c, ''))}</td>" for c in columns) + "</tr>\n"
        for row in rows
    )
    return (
        f'<section><h2>{heading}</h2>{before}<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{heading}"><table class="sortable" id="table-{name}"><thead><tr>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div></section>\n"
    )


def _cell(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return '<span class="yes">✓ yes</span>' if value else '<span class="no">✗ no</span>'
    if isinstance(value, (float, np.floating)):
        return f"{value:.2f}"
    return escape(str(value))


def _formula(formula: str) -> str:
    """SrTiO3 with its numbers as subscripts."""
    return "".join(f"<sub>{c}</sub>" if c.isdigit() else escape(c) for c in formula)


def _percent(flags: Sequence[bool] | np.ndarray) -> str:
    return f"{100 * float(np.mean(flags)):.1f} %" if len(flags) else "–"
