"""What a run leaves for people: CIF files, extended XYZ, a table, trajectories and a page."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowllm.checkpoint import atomic_write, friendly_os_errors, write_json
from flowllm.crystal import CrystalBatch
from flowllm.metrics.composition import compositional_validity
from flowllm.metrics.validity import structural_validity
from flowllm.model import Generation
from flowllm.report import write_report

CSV_COLUMNS = ("id", "formula", "prompt", "valid_structure", "valid_composition")


def write_results(out: Path, generation: Generation, settings: dict[str, Any]) -> None:
    """Write the layout that every run has.

    ``crystals/*.cif`` refined crystals, ``prior/*.cif`` the same before refinement,
    ``crystals.extxyz``, ``crystals.csv`` (id, formula, prompt, both validities),
    ``trajectories.npz``, ``summary.json`` and ``report.html``.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    refined = generation.refined
    rows = crystal_rows(generation)
    with friendly_os_errors(out):
        write_cifs(out / "crystals", refined)
        write_cifs(out / "prior", generation.prior)
        write_extxyz(out / "crystals.extxyz", refined)
        generation.trajectory.save(out / "trajectories.npz")
        atomic_write(out / "crystals.csv", table(rows))
        stages = [asdict(stage) for stage in generation.stages]
        valid = sum(row["valid_structure"] for row in rows), sum(
            row["valid_composition"] for row in rows
        )
        write_json(
            out / "summary.json",
            {
                "crystals": len(rows),
                "valid_structures": valid[0],
                "valid_compositions": valid[1],
                "stages": stages,
                "settings": settings,
            },
        )
        write_report(
            out / "report.html",
            title=f"{len(rows)} crystals",
            prior=generation.prior,
            refined=refined,
            rows=rows,
            stages=[
                {"stage": s.name, "crystals": s.crystals, "rejected": s.rejected, "seconds": s.seconds}
                for s in generation.stages
            ],
            settings=settings,
            trajectories=generation.trajectory,
        )


def crystal_rows(generation: Generation) -> list[dict[str, Any]]:
    """Per crystal: id, formula, prompt and both validities of the refined crystal."""
    refined = generation.refined
    structure, composition = structural_validity(refined), compositional_validity(refined)
    return [
        {
            "id": str(name),
            "formula": formula,
            "prompt": prompt.strip(),
            "valid_structure": bool(sound),
            "valid_composition": bool(neutral),
        }
        for name, formula, prompt, sound, neutral in zip(
            refined.ids, refined.formulas, generation.prompts, structure, composition, strict=True
        )
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV text; true and false in small letters."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()})
    return buffer.getvalue()


def write_cifs(folder: Path, crystals: CrystalBatch) -> None:
    """One CIF a crystal, named by its id; what an earlier try left in the folder goes."""
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, text in zip(crystals.ids, crystals.to_cif(), strict=True):
        (folder / f"{name}.cif").write_text(text, encoding="utf-8")


def write_extxyz(path: Path, crystals: CrystalBatch) -> None:
    """All crystals in one extended-XYZ file, id in each comment line."""
    from ase.io import write

    buffer = io.StringIO()
    write(buffer, crystals.to_ase(), format="extxyz")
    atomic_write(path, buffer.getvalue())
