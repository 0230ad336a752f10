"""The page of an evaluation: metrics, charts, and a table of crystals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.charts import charts
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.result import EvaluationResult
from flowllm.evaluation.stages import TILES
from flowllm.metrics.facts import CrystalFacts, crystal_facts
from flowllm.runs.files import atomic_write
from flowllm.stability.neighbours import neighbours_of
from flowllm.symmetry.symbols import typeset_symbol
from flowllm.viz.bins import TITLES
from flowllm.viz.choice import choose_diverse
from flowllm.viz.columns import columns_of
from flowllm.viz.crystal_data import page_crystal, page_elements
from flowllm.viz.crystal_table import (
    ROWS,
    SCRIPTS,
    STYLES,
    CrystalTable,
    ShownCrystal,
    crystal_section,
    drawn_rows,
)
from flowllm.viz.facts import facts_in_words
from flowllm.viz.page import chart_cards, figure_place, fill, named_values, render, tiles
from flowllm.viz.run_page import PICTURES

ENERGIES = {"e_above_hull": "E above hull", "energy_drop": "energy drop on relaxation"}
"""Columns in eV/atom that stand with a crystal, where they are known."""
FRAMES = ("as given", "relaxed")
NOTE = "Energies are CHGNet's, on a hull of density functional theory: see the protocol below."


def write_page(
    path: str | Path, evaluation: EvaluationResult, relaxed: CrystalBatch | None = None
) -> None:
    """Write one self-contained HTML file atomically.

    Args:
        path: the HTML file to write.
        evaluation: what is shown.
        relaxed: relaxed states of some of the crystals, by their ids.

    Raises:
        InputError: the file cannot be written.
    """
    sections = [
        _tiles(evaluation),
        crystal_section(_table(evaluation, relaxed)),
        _charts(evaluation),
        fill("metrics.html", stages=evaluation.metrics),
        named_values("Protocol", [(s, rows) for s, rows in evaluation.protocol.items() if rows]),
    ]
    readable = f"{len(evaluation.crystals)} of {len(evaluation.rows)} inputs are readable crystals"
    behind = f"; grey in the charts: {evaluation.data_name}" if evaluation.data else ""
    energies = f" {NOTE}" if "e_above_hull" in evaluation.rows else ""
    title = f"Evaluation of {evaluation.name}"
    page = render(title, f"{readable}{behind}.{energies}", sections, STYLES, SCRIPTS)
    atomic_write(path, page)


def _tiles(evaluation: EvaluationResult) -> Markup:
    found = {metric.name: metric for metric in evaluation}
    return tiles(
        _tile(found[name]) for name in TILES if name in found and not np.isnan(found[name].value)
    )


def _tile(metric: Metric) -> tuple[str, str, str]:
    """A metric's name, value, interval and sample size."""
    value = f"{100 * metric.value:.1f} %" if metric.unit == SHARE else f"{metric.value:.3f}"
    return metric.name, value, metric.text.partition("(")[2].rpartition(")")[0]


def _table(evaluation: EvaluationResult, relaxed: CrystalBatch | None) -> CrystalTable:
    rows, crystals = evaluation.rows.head(ROWS), evaluation.crystals
    place = {str(name): index for index, name in enumerate(crystals.ids)}
    ends = {} if relaxed is None else {str(name): i for i, name in enumerate(relaxed.ids)}
    facts = crystal_facts(crystals)
    found = {row: place[name] for row, name in enumerate(map(str, rows["id"])) if name in place}
    good = [row for row, index in found.items() if facts[index].believable]
    drawn = drawn_rows(good, sorted(set(found) - set(good)))
    nearest = neighbours_of(crystals, facts, [found[row] for row in drawn])
    shown = {}
    for row in drawn:
        index = found[row]
        frames, beside = crystals[index], nearest.get(index)
        end = ends.get(str(frames.ids[0]))
        names: Sequence[str] = FRAMES[:1]
        if end is not None and relaxed is not None and _same_atoms(frames, relaxed[end]):
            frames, names = CrystalBatch.concatenate([frames, relaxed[end]]), FRAMES
        shown[row] = ShownCrystal(
            page_crystal(frames, names),
            _facts(facts[index], rows.iloc[row]),
            "Nearest known crystal" if beside else "",
            beside.text if beside else "",
            page_crystal(beside.crystal) if beside and beside.crystal is not None else None,
        )
    values: dict[str, list[Any]] = {name: rows[name].tolist() for name in rows.columns}
    values |= {
        "symbol": [typeset_symbol(facts[found[row]].space_group) or None if row in found else None
                   for row in range(len(rows))],
        "nearest": [nearest[found[row]].short if found.get(row) in nearest else None
                    for row in range(len(rows))],
    }  # fmt: skip
    believable = {str(crystals.ids[i]): facts[i].believable for i in range(len(crystals))}
    row_of = {index: row for row, index in found.items()}
    chosen = [row_of[i] for i in choose_diverse(crystals, believable, PICTURES) if i in row_of]
    known = [one.crystal for one in nearest.values() if one.crystal is not None]
    return CrystalTable(
        columns_of(list(values)), values, shown, page_elements([crystals, *known]),
        chosen[0] if chosen else None, chosen, len(evaluation.rows),
    )  # fmt: skip


def _same_atoms(one: CrystalBatch, other: CrystalBatch) -> bool:
    return np.array_equal(one.atomic_numbers, other.atomic_numbers)


def _facts(facts: CrystalFacts, row: Any) -> list[tuple[str, str]]:
    energies = [
        (heading, f"{row[name]:+.3f} eV/atom")
        for name, heading in ENERGIES.items()
        if name in row and isinstance(row[name], float) and np.isfinite(row[name])
    ]
    return [*energies, *facts_in_words(facts)]


def _charts(evaluation: EvaluationResult) -> Markup:
    cards = [
        (TITLES[key], figure_place(f"chart-{key}", figure, TITLES[key]))
        for key, figure in charts([evaluation]).items()
    ]
    return chart_cards("Charts", cards) if cards else Markup()
