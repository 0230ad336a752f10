"""The page of an evaluation: figures, charts, and a table that shows the crystal clicked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.evaluation.charts import TITLES, charts
from flowllm.evaluation.metric import SHARE
from flowllm.viz.page import figure_place, render
from flowllm.viz.structure3d import CELL_COLOUR, ball_radii, colour, draw, unit_sphere

if TYPE_CHECKING:
    from flowllm.evaluation.report import Report

SHOWN = 2000  # crystals in the table: the page stays under 15 MB; per_crystal.csv has them all
DRAWN_ATOMS = 60  # a larger cell is listed and not drawn
TILES = ("valid structure", "valid composition", "precision", "recall", "metastable (< 0.1)",
         "stable (< 0)", "S.U.N. (< 0)")  # fmt: skip


def write_page(path: str | Path, report: Report) -> None:
    """Write one HTML file that opens without any network.

    Raises:
        OSError: the file cannot be written.
    """
    sections = [
        _tiles(report),
        _charts([report]),
        _figures(report),
        _crystals(report),
        _protocol(report),
    ]
    readable = f"{len(report.crystals)} of {len(report.rows)} inputs are readable crystals"
    behind = f"; grey in the charts: {report.data_name}" if report.data else ""
    room = files("flowllm.evaluation")
    sections.insert(0, f"<style>\n{room.joinpath('page.css').read_text('utf-8')}</style>\n")
    sections.append(f"<script>\n{room.joinpath('page.js').read_text('utf-8')}</script>\n")
    page = render(f"Evaluation of {report.name}", f"{readable}{behind}.", sections)
    Path(path).write_text(page, encoding="utf-8")


def _tiles(report: Report) -> str:
    found = {metric.name: metric for metric in report}
    boxes = []
    for name in TILES:
        if name in found and not np.isnan(found[name].value):
            metric = found[name]
            value = f"{100 * metric.value:.1f} %" if metric.unit == SHARE else f"{metric.value:.3f}"
            interval = metric.text.split("(")[-1].split(",")[0].rstrip(")")
            boxes.append(
                f'<div class="tile"><dt>{escape(name)}</dt><dd>{value}</dd>'
                f"<small>{escape(interval)}</small></div>"
            )
    return f'<dl class="tiles">{"".join(boxes)}</dl>\n'


def _charts(reports: Sequence[Report]) -> str:
    cards = "".join(
        f'<article class="card"><h3>{TITLES[key]}</h3>'
        f"{figure_place(f'chart-{key}', figure, TITLES[key])}</article>"
        for key, figure in charts(reports).items()
    )
    return f'<section><h2>Charts</h2><div class="cards">{cards}</div></section>\n' if cards else ""


def _figures(report: Report) -> str:
    body = ""
    for stage, metrics in report.metrics.items():
        for place, metric in enumerate(metrics):
            head = f'<th scope="rowgroup" rowspan="{len(metrics)}">{escape(stage)}</th>'
            note = f"<br><small>{escape(metric.note)}</small>" if metric.note else ""
            body += (
                f"<tr>{head if place == 0 else ''}<td>{escape(metric.name)}{note}</td>"
                f"<td>{escape(metric.text)}</td><td>{escape(metric.data_text)}</td></tr>\n"
            )
    return (
        "<section><h2>Figures</h2><p>In brackets the bootstrap 95 % interval and the number of "
        "values, for a rate its denominator. The last column is what a sample of the training "
        "split scores in the same test.</p>"
        '<div class="scroll figures" tabindex="0" role="region" aria-label="Figures"><table>'
        '<thead><tr><th scope="col">stage</th><th scope="col">figure</th><th scope="col">value</th>'
        f'<th scope="col">data</th></tr></thead><tbody>{body}</tbody></table></div></section>\n'
    )


def _crystals(report: Report) -> str:
    rows = report.rows.head(SHOWN)
    columns = [c for c in rows.columns if rows[c].notna().any()]
    values = {c: [_plain(v) for v in rows[c]] for c in columns}
    note = "" if len(report.rows) <= SHOWN else f"The first {SHOWN} of {len(report.rows)}. "
    place = {str(name): index for index, name in enumerate(report.crystals.ids)}
    shown = [place.get(str(name)) for name in rows["id"]]
    content = {"columns": columns, "values": values, "drawings": _drawings(report.crystals, shown)}
    points, faces = unit_sphere()
    content["sphere"] = [np.round(points, 3).tolist(), faces.tolist()]
    content["elements"] = _elements(report.crystals)
    content["cell"] = CELL_COLOUR
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return (
        f'<section id="crystals"><h2>Crystals</h2><p>{note}A click on a heading sorts, one on a '
        "row (or Enter) shows the crystal as it was given.</p>"
        '<label>Filter <input type="search" id="crystal-filter" placeholder="id, formula, reason">'
        '</label> <label><select id="crystal-flag" aria-label="Only crystals that are">'
        '<option value="">all</option></select></label>'
        '<div class="browser"><div class="scroll" tabindex="0" role="region" aria-label="Crystals">'
        '<table class="sortable" data-sorts id="crystal-table"><thead></thead><tbody></tbody>'
        "</table></div>"
        '<article class="card" id="crystal-view"><h3></h3><div class="figure3d"></div>'
        '<p class="legend"></p></article></div><p id="crystal-pages"></p>'
        f'<script type="application/json" id="crystal-data">{text}</script></section>\n'
    )


def _drawings(crystals: CrystalBatch, shown: Sequence[int | None]) -> list[Any]:
    """Per row what is drawn of its crystal: positions, numbers, bonds, edges; null for none."""
    result: list[Any] = []
    volumes = crystals.volumes
    for index in shown:
        if index is None or volumes[index] <= 0 or crystals.num_atoms[index] > DRAWN_ATOMS:
            result.append(None)
            continue
        drawing = draw(crystals[index])
        result.append(
            [
                np.round(drawing.positions, 2).tolist(),
                drawing.numbers.tolist(),
                drawing.bonds.tolist(),
                np.round(drawing.edges.reshape(-1, 6), 2).tolist(),
            ]
        )
    return result


def _elements(crystals: CrystalBatch) -> dict[int, list[Any]]:
    return {
        int(n): [SYMBOLS[n], colour(int(n)), round(float(ball_radii(n)), 3)]
        for n in np.unique(crystals.atomic_numbers)
    }


def _protocol(report: Report) -> str:
    blocks = "".join(
        f"<h3>{escape(stage)}</h3><dl class='settings'>"
        + "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in rows.items())
        + "</dl>"
        for stage, rows in report.protocol.items()
        if rows
    )
    return f"<section><h2>Protocol</h2>{blocks}</section>\n"


def _plain(value: Any) -> Any:
    """What JSON can hold, numbers with four digits after the point."""
    import pandas as pd

    if value is None or pd.isna(value):
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return str(value)
