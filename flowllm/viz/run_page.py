"""The page of a run: what was generated, before and after refinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.metrics.validity import structural_validity
from flowllm.runs.files import atomic_write
from flowllm.text.prompts import without_frame
from flowllm.viz.before_after import choose_diverse, structure_figure
from flowllm.viz.bins import AXES, STRUCTURAL, TITLES, histograms
from flowllm.viz.charts import distribution_figure
from flowllm.viz.element_colours import element_colours
from flowllm.viz.flow_path import path_figure
from flowllm.viz.page import chart_cards, figure_place, fill, named_values, render, table, tiles

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
    """Write a page of one file, whole or not at all, that opens without any network.

    Args:
        path: the HTML file to write.
        title: heading of the page.
        prior: what the prior drew.
        refined: what the refiner made of it; the same ids.
        rows: per refined crystal: id, formula, prompt, valid_structure, valid_composition.
        stages: per stage: stage, crystals, rejected, seconds.
        settings: names and values.
        trajectories: of the refinement, for the path that the atoms take; None leaves it out.
        reference: `flowllm.viz.bins.histograms` of a data set, drawn behind the distributions.
        reference_name: its name.
        shown: crystals in 3-D; each takes two WebGL contexts, and browsers keep at most 16.

    Raises:
        InputError: the file cannot be written.
    """
    sections = [
        _tiles(prior, refined, rows),
        _crystals(prior, refined, rows, shown),
        _distributions(prior, refined, reference, reference_name, trajectories),
        table("Stages", "stages", stages, ("stage", "crystals", "rejected", "seconds")),
        named_values("Settings", [("", settings)]),
        _all_crystals(rows),
    ]
    made_by = ", then ".join(str(row["stage"]) for row in stages)
    lead = f"{len(refined)} crystals by {made_by}." if made_by else f"{len(refined)} crystals."
    atomic_write(path, render(title, lead, sections))


def _tiles(prior: CrystalBatch, refined: CrystalBatch, rows: Sequence[Mapping[str, Any]]) -> Markup:
    size = f"{refined.num_atoms.mean():.1f}" if len(refined) else "–"
    return tiles(
        [
            ("crystals", str(len(refined)), ""),
            (
                "valid structures",
                _percent([row["valid_structure"] for row in rows]),
                f"prior {_percent(structural_validity(prior))}",
            ),
            ("valid compositions", _percent([row["valid_composition"] for row in rows]), "SMACT"),
            ("distinct formulas", str(len({row["formula"] for row in rows})), f"of {len(rows)}"),
            ("atoms per cell", size, "on average"),
        ]
    )


def _crystals(
    prior: CrystalBatch, refined: CrystalBatch, rows: Sequence[Mapping[str, Any]], shown: int
) -> Markup:
    valid = {
        str(row["id"]): bool(row["valid_structure"] and row["valid_composition"]) for row in rows
    }
    begun = {str(name): index for index, name in enumerate(prior.ids)}
    cards = []
    for place, index in enumerate(choose_diverse(refined, valid, shown)):
        after = refined[index]
        start = begun.get(str(after.ids[0]))
        before = None if start is None or prior.volumes[start] <= 0 else prior[start]
        formula = after.formulas[0]
        label = f"{formula} in 3-D" + (
            ", before and after refinement" if before is not None else ""
        )
        cards.append(
            {
                "id": str(after.ids[0]),
                "formula": formula,
                "atoms": int(after.num_atoms[0]),
                "figure": figure_place(f"crystal-{place}", structure_figure(before, after), label),
                "elements": _elements(before, after),
                "cells": [
                    _cell_of(name, crystal)
                    for name, crystal in (("before", before), ("after", after))
                    if crystal is not None
                ],
            }
        )
    return fill("before_after.html", cards=cards) if cards else Markup()


def _elements(before: CrystalBatch | None, after: CrystalBatch) -> list[tuple[str, str]]:
    """Symbol and colour of the elements of a crystal before and after."""
    shown = CrystalBatch.concatenate([after] if before is None else [before, after])
    colours = element_colours(np.unique(shown.atomic_numbers))
    return [(SYMBOLS[n], tint) for n, tint in colours.items()]


def _cell_of(name: str, crystal: CrystalBatch) -> tuple[str, str, str]:
    """A name, and the lengths and angles of the crystal's cell in words."""
    lengths = " ".join(f"{x:.2f}" for x in crystal.lengths[0])
    return name, lengths, " ".join(f"{x:.1f}" for x in crystal.angles[0])


def _distributions(
    prior: CrystalBatch,
    refined: CrystalBatch,
    reference: Mapping[str, Sequence[float]] | None,
    reference_name: str,
    trajectories: Trajectory | None,
) -> Markup:
    first, last = histograms(prior), histograms(refined)
    cards = []
    for name in STRUCTURAL:
        behind = reference.get(name) if reference else None
        figure = distribution_figure(name, first[name], last[name], behind)
        label = f"{TITLES[name]}, {AXES[name]}: prior and refined crystals"
        cards.append((TITLES[name], figure_place(name, figure, label)))
    if trajectories is not None and len(trajectories) > 1:
        heading = "How far the flow moves the atoms"
        cards.append((heading, figure_place("path", path_figure(trajectories), heading)))
    keys = [("prior", "prior"), ("refined", "refined")]
    if reference:
        keys.append(("reference", reference_name))
    return chart_cards("Distributions", cards, keys)


def _all_crystals(rows: Sequence[Mapping[str, Any]]) -> Markup:
    columns = ("id", "formula", "valid_structure", "valid_composition", "prompt")
    shown = [
        {**row, "prompt": without_frame(str(row.get("prompt", "")))} for row in rows[:MAX_ROWS]
    ]
    cut = "" if len(rows) <= MAX_ROWS else f"The first {MAX_ROWS} of {len(rows)}. "
    lead = f"{cut}A click on a heading sorts."
    return table("Crystals", "crystals", shown, columns, lead, search="id, formula, prompt")


def _percent(flags: Sequence[bool] | np.ndarray) -> str:
    return f"{100 * float(np.mean(flags)):.1f} %" if len(flags) else "–"
