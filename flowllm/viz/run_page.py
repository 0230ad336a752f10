"""The page of a run: every crystal with its trajectory, its properties and its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.metrics.facts import CrystalFacts, crystal_facts
from flowllm.metrics.validity import structural_validity
from flowllm.runs.files import atomic_write
from flowllm.symmetry.symbols import typeset_symbol
from flowllm.text.prompts import REQUEST, without_frame
from flowllm.viz.bins import AXES, STRUCTURAL, TITLES, histograms
from flowllm.viz.charts import distribution_figure
from flowllm.viz.choice import choose_diverse
from flowllm.viz.columns import columns_of
from flowllm.viz.crystal_data import page_crystal, page_elements, trajectory_crystal
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
from flowllm.viz.flow_path import path_figure
from flowllm.viz.page import chart_cards, figure_place, named_values, render, table, tiles

PICTURES = 6
"""Crystals that stand as pictures above the table."""
TokenTexts = Callable[[Sequence[int]], Mapping[int, Sequence[tuple[str, float | None]]]]
"""Positions of crystals -> the text of each that has one: pieces, and the probability of each."""
UNCHANGED = ("n_elements", "num_atoms")
"""Distributions that a refinement of fixed species leaves as they are."""


@dataclass(frozen=True)
class Neighbour:
    """A known crystal compared with a generated one.

    Attributes:
        short: for a table, as in "NaCl (mp-22862)".
        text: a sentence on what the two have in common.
        crystal: a batch of one; None if it is not to be drawn.
    """

    short: str
    text: str
    crystal: CrystalBatch | None = None


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
    facts: Sequence[CrystalFacts] | None = None,
    nearest: Mapping[int, Neighbour] | None = None,
    texts: TokenTexts | None = None,
    reference: Mapping[str, Sequence[float]] | None = None,
    reference_name: str = "MP-20",
) -> None:
    """Write a self-contained one-file page atomically.

    Args:
        path: the HTML file to write.
        title: heading of the page.
        prior: what the prior drew.
        refined: what the refiner made of it; the same ids.
        rows: per refined crystal: id, formula, prompt, valid_structure, valid_composition.
        stages: per stage: stage, crystals, rejected, seconds.
        settings: names and values; those that are None or empty are left out.
        trajectories: of the refinement, which the page plays; None shows the last frame.
        facts: `flowllm.metrics.facts.crystal_facts` of the refined crystals; computed if left out.
        nearest: position of a crystal -> the known one beside it.
        texts: gives those of the crystals that stand as pictures, as the language model reads them.
        reference: `flowllm.viz.bins.histograms` of a data set, drawn behind the distributions.
        reference_name: its name.

    Raises:
        InputError: the file cannot be written.
    """
    found = list(crystal_facts(refined) if facts is None else facts)
    asked = {name: value for name, value in settings.items() if value not in (None, "", (), [])}
    columns = ("stage", "crystals", "rejected", "seconds")
    sections = [
        _tiles(prior, refined, rows, found),
        crystal_section(_table(prior, refined, rows, found, trajectories, nearest or {}, texts)),
        _distributions(prior, refined, reference, reference_name, trajectories),
        *([table("Stages", "stages", stages, columns)] if stages else []),
        named_values("Settings", [("", asked)]),
    ]
    made_by = ", then ".join(str(row["stage"]) for row in stages)
    lead = f"{len(refined)} crystals by {made_by}." if made_by else f"{len(refined)} crystals."
    atomic_write(path, render(title, lead, sections, STYLES, SCRIPTS))


def _tiles(
    prior: CrystalBatch,
    refined: CrystalBatch,
    rows: Sequence[Mapping[str, Any]],
    facts: Sequence[CrystalFacts],
) -> Markup:
    groups = {one.space_group for one in facts} - {0}
    near = _percent([not one.fault and not one.believable for one in facts])
    return tiles(
        [
            ("crystals", str(len(refined)), f"{refined.num_atoms.mean():.1f} atoms each"
             if len(refined) else ""),
            (
                "valid structures",
                _percent([row["valid_structure"] for row in rows]),
                f"no atoms within 0.5 Å; prior {_percent(structural_validity(prior))}",
            ),
            ("atoms too close", near, "below 0.7 radii, or nearer than in known crystals"),
            ("charges balance", _percent([row["valid_composition"] for row in rows]), "SMACT"),
            ("distinct formulas", str(len({row["formula"] for row in rows})), f"of {len(rows)}"),
            ("space groups", str(len(groups)), "at 0.1 Å"),
        ]
    )  # fmt: skip


def _table(
    prior: CrystalBatch,
    refined: CrystalBatch,
    rows: Sequence[Mapping[str, Any]],
    facts: Sequence[CrystalFacts],
    trajectories: Trajectory | None,
    nearest: Mapping[int, Neighbour],
    texts: TokenTexts | None = None,
) -> CrystalTable:
    count = min(len(rows), len(refined), ROWS)
    believable = {str(refined.ids[i]): facts[i].believable for i in range(count)}
    good = [i for i in range(count) if facts[i].believable]
    poor = [i for i in range(count) if not facts[i].believable]
    chosen = choose_diverse(refined[:count], believable, PICTURES)
    read = texts(chosen) if texts else {}
    shown = {}
    for index in drawn_rows(good, poor):
        beside = nearest.get(index)
        drawing = (
            page_crystal(refined[index])
            if trajectories is None
            else trajectory_crystal(trajectories.crystal(index))
        )
        shown[index] = ShownCrystal(
            drawing,
            facts_in_words(facts[index]),
            "Nearest known crystal" if beside else "",
            beside.text if beside else "",
            page_crystal(beside.crystal) if beside and beside.crystal is not None else None,
            _without_frame(read.get(index, ())),
        )
    known = [one.crystal for one in nearest.values() if one.crystal is not None]
    frames = [] if trajectories is None else list(trajectories)
    values = _values(rows[:count], facts, nearest)
    return CrystalTable(
        columns_of(list(values)), values, shown, page_elements([prior, refined, *frames, *known]),
        chosen[0] if chosen else None, chosen, len(rows),
    )  # fmt: skip


def _without_frame(
    pieces: Sequence[tuple[str, float | None]],
) -> list[tuple[str, float | None]]:
    """A text without the opening and the request that every prompt has."""
    cut = []
    for text, share in pieces:
        if share is None:  # the crystal stands on lines of its own
            text = without_frame(text) + "\n" * text.endswith(REQUEST)
        cut.append((text, share))
    return [(text, share) for text, share in cut if text]


def _values(
    rows: Sequence[Mapping[str, Any]],
    facts: Sequence[CrystalFacts],
    nearest: Mapping[int, Neighbour],
) -> dict[str, list[Any]]:
    """Column -> values of the rows."""
    places = range(len(rows))
    values: dict[str, list[Any]] = {
        name: [row[name] for row in rows]
        for name in ("id", "formula", "valid_structure", "valid_composition")
    }
    values |= {
        "symbol": [typeset_symbol(facts[i].space_group) or None for i in places],
        "space_group": [facts[i].space_group or None for i in places],
        "density": [facts[i].density for i in places],
        "volume_per_atom": [facts[i].volume_per_atom for i in places],
        "num_atoms": [facts[i].num_atoms for i in places],
        "contact_over_radii": [facts[i].contact for i in places],
        "unusual_contact": [facts[i].unusual for i in places],
        "nearest": [nearest[i].short if i in nearest else None for i in places],
        "reason": [facts[i].fault or None for i in places],
    }
    values["prompt"] = [without_frame(str(row.get("prompt", ""))) or None for row in rows]
    return values


def _distributions(
    prior: CrystalBatch,
    refined: CrystalBatch,
    reference: Mapping[str, Sequence[float]] | None,
    reference_name: str,
    trajectories: Trajectory | None,
) -> Markup:
    first, last = histograms(prior), histograms(refined)
    moves = trajectories is not None and len(trajectories) > 1
    cards = []
    for name in STRUCTURAL:
        behind = reference.get(name) if reference else None
        unchanged = name in UNCHANGED and np.array_equal(first[name], last[name])
        figure = distribution_figure(name, None if unchanged else first[name], last[name], behind)
        label = f"{TITLES[name]}, {AXES[name]}"
        cards.append((TITLES[name], figure_place(name, figure, label)))
    if trajectories is not None and moves:
        heading = "How far the flow moves the atoms"
        cards.append((heading, figure_place("path", path_figure(trajectories), heading)))
    keys = [("prior", "before refinement"), ("refined", "refined")]
    if reference:
        keys.append(("reference", reference_name))
    return chart_cards("Distributions", cards, keys)


def _percent(flags: Sequence[bool] | np.ndarray) -> str:
    return f"{100 * float(np.mean(flags)):.1f} %" if len(flags) else "–"
