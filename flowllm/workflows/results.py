"""User-facing results of a run: CIF files, extended XYZ, a table, trajectories and a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.token_texts import TokenText, token_texts
from flowllm.metrics.facts import CrystalFacts, crystal_facts
from flowllm.runs.files import (
    atomic_write,
    friendly_os_errors,
    whole_file,
    whole_folder,
    write_json,
    write_new,
)
from flowllm.runs.texts import csv_of, safe_names
from flowllm.stability.neighbours import neighbours_of
from flowllm.symmetry.cif import to_cif
from flowllm.systems.generation import Generation
from flowllm.viz.crystal_table import DRAWN
from flowllm.viz.run_page import write_report

CSV_COLUMNS = (
    "id", "formula", "prompt", "valid_structure", "valid_composition", "space_group", "symbol",
    "density", "volume_per_atom", "contact_over_radii",
)  # fmt: skip
REMARKS = "remarks"
"""One column more, where the crystals were read from files."""
RESULTS = (
    "crystals",
    "prior",
    "crystals.extxyz",
    "crystals.csv",
    "trajectories.npz",
    "summary.json",
    "report.html",
)
"""What a finished run holds."""


NO_SPECIES = "a species is open (X); no CIF is written"


def write_results(
    out: Path,
    generation: Generation,
    settings: dict[str, Any],
    left_out: Sequence[str] = (),
    remarks: Sequence[str] | None = None,
    reader: LanguageModelPrior | None = None,
) -> None:
    """Write the standard files of a run, each atomically.

    ``crystals/*.cif`` refined crystals, by their symmetry where they have any within 0.01 Å (the
    conventional cell, operations, Wyckoff letters) and else in P1, ``prior/*.cif`` the same before
    refinement, as primitive cells in P1 (both without crystals that have an open species, which CIF
    cannot say: ``trajectories.npz`` has them, and refined ones are named among those left out),
    ``crystals.extxyz``, ``crystals.csv`` (id, formula, prompt, both validities, space group,
    density, volume an atom in Å^3, shortest contact over radii),
    ``trajectories.npz``, ``summary.json`` and ``report.html``.

    Args:
        out: the folder, which exists.
        generation: the crystals.
        settings: names and values for the page.
        left_out: a message for each input that is not among the crystals.
        remarks: what is to be said of each crystal that was read from a file.
        reader: the language model that reads the crystals which the page shows; None leaves their
            texts out.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    refined, trajectory = generation.refined, generation.trajectory
    facts = crystal_facts(refined)
    rows = crystal_rows(generation, facts, remarks)
    stages = [asdict(stage) for stage in generation.stages]
    with friendly_os_errors(out):
        undecided = _have_open_species(refined)
        write_cifs(out / "crystals", refined[~undecided], by_symmetry=True)
        write_cifs(out / "prior", generation.prior[~_have_open_species(generation.prior)])
        write_extxyz(out / "crystals.extxyz", refined)
        trajectory.save(out / "trajectories.npz")
        atomic_write(out / "crystals.csv", table(rows))
        summary = {
            "crystals": len(rows),
            "valid_structures": sum(row["valid_structure"] for row in rows),
            "valid_compositions": sum(row["valid_composition"] for row in rows),
            "stages": stages,
            "decoding": generation.decoding.summary() if generation.decoding.texts else None,
            "left_out": [*left_out, *(f"{name}: {NO_SPECIES}" for name in refined.ids[undecided])],
            "settings": settings,
        }
        write_json(out / "summary.json", summary)
        with whole_file(out / "report.html") as page:
            write_report(
                page,
                title=f"{len(rows)} crystals",
                prior=generation.prior,
                refined=refined,
                rows=rows,
                stages=[{"stage": stage.pop("name"), **stage} for stage in stages],
                settings=settings,
                trajectories=trajectory,
                facts=facts,
                nearest=neighbours_of(refined, facts, range(min(len(facts), DRAWN))),
                texts=None if reader is None else partial(_read, reader, generation.prior),
            )


def _read(
    reader: LanguageModelPrior, crystals: CrystalBatch, rows: Sequence[int]
) -> dict[int, tuple[TokenText, ...]]:
    """Row -> the crystal's text, token by token."""
    found = token_texts(reader, crystals[list(rows)])
    return {rows[place]: text for place, text in found.items()}


def _have_open_species(crystals: CrystalBatch) -> np.ndarray:
    """(B,) bool: which crystals cannot be written as CIF."""
    undecided = np.zeros(len(crystals), dtype=bool)
    undecided[crystals.crystal_of_atom[crystals.atomic_numbers < 1]] = True
    return undecided


def crystal_rows(
    generation: Generation, facts: Sequence[CrystalFacts], remarks: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Per crystal: id, formula, prompt, facts about the refined crystal, and remarks."""
    refined = generation.refined
    rows: list[dict[str, Any]] = [
        {
            "id": str(name),
            "formula": formula,
            "prompt": prompt.strip(),
            "valid_structure": not one.fault,
            "valid_composition": one.charge_balanced,
            "space_group": one.space_group or None,
            "symbol": one.symbol or None,
            "density": round(one.density, 4),
            "volume_per_atom": round(one.volume_per_atom, 4),
            "contact_over_radii": round(one.contact, 4),
        }
        for name, formula, prompt, one in zip(
            refined.ids, refined.formulas, generation.prompts, facts, strict=True
        )
    ]
    for row, text in zip(rows, remarks or (), strict=remarks is not None):
        row[REMARKS] = text
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV text; true and false in lower case."""
    columns = (*CSV_COLUMNS, REMARKS) if rows and REMARKS in rows[0] else CSV_COLUMNS
    return csv_of(
        columns,
        [{k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()} for row in rows],
    )


def write_cifs(folder: Path, crystals: CrystalBatch, by_symmetry: bool = False) -> None:
    """Write a folder with one CIF per crystal, named by its id, replacing an earlier one.

    Args:
        folder: is made, or replaced.
        crystals: to be written.
        by_symmetry: as `flowllm.symmetry.cif.to_cif` writes them; else in P1 as they are.
    """
    texts = to_cif(crystals) if by_symmetry else crystals.to_cif()
    with whole_folder(folder) as partial:
        for name, text in zip(safe_names(crystals.ids), texts, strict=True):
            write_new(partial / f"{name}.cif", text)


def write_extxyz(path: Path, crystals: CrystalBatch) -> None:
    """All crystals in one extended-XYZ file, id in each comment line."""
    from ase.io import write

    buffer = io.StringIO()
    write(buffer, crystals.to_ase(), format="extxyz")
    atomic_write(path, buffer.getvalue())
