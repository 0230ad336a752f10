"""The crystals that a person picked, as files that other programs read."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import ase.io

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.report import csv_text
from flowllm.export import KINDS, export_crystals, folder_names
from flowllm.runs.files import friendly_os_errors, whole_folder, write_new

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {
    "CIF, one file each": "cif",
    "extended XYZ": "extxyz",
    "CSV with a column cif": "csv",
    "VASP inputs": "vasp",
    "Quantum ESPRESSO inputs": "quantum-espresso",
}
"""What a person reads -> kind."""


def export_picks(kind: str, crystals: CrystalBatch, rows: pd.DataFrame, out: str | Path) -> str:
    """Write picked crystals into a new folder, which appears whole or not at all.

    Inputs of density functional theory are written as `flowllm export` does, so an export that was
    interrupted goes on there.

    Args:
        kind: a value of `FORMATS`.
        crystals: the picked crystals.
        rows: what is known of them, in the same order; for the table.
        out: the folder, which is not there yet or is empty.

    Returns:
        What was written where, in words.

    Raises:
        InputError: nothing is picked, the folder holds something, a cell spans no volume, or the
            folder cannot be written.
    """
    if not len(crystals):
        raise InputError("nothing is picked")
    if not str(out).strip():
        raise InputError("name a folder to write to")
    target = Path(os.path.realpath(Path(out).expanduser()))
    if kind in KINDS:
        done = export_crystals(kind, crystals, target)
        left_out = [each for each in done if each.problem]
        text = f"{_counted(len(done) - len(left_out))} written to {target}"
        return text + "".join(f"; left out {each.id}: {each.problem}" for each in left_out)
    if kind not in FORMATS.values():
        raise InputError(f"no export as {kind}; there are {', '.join(FORMATS.values())}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is there and not empty: name another folder")
    with friendly_os_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(target) as partial:
        _write(kind, crystals, rows, partial)
    return f"{_counted(len(crystals))} written to {target}"


def _write(kind: str, crystals: CrystalBatch, rows: pd.DataFrame, folder: Path) -> None:
    if kind == "extxyz":
        crystals.lattices  # noqa: B018  raises for a cell without volume, which ASE would write
        buffer = io.StringIO()
        ase.io.write(buffer, crystals.to_ase(), format="extxyz")
        write_new(folder / "picks.extxyz", buffer.getvalue())
        return
    texts = crystals.to_cif()
    if kind == "cif":
        for name, text in zip(folder_names(crystals), texts, strict=True):
            write_new(folder / f"{name}.cif", text)
    else:
        write_new(folder / "picks.csv", csv_text(rows.assign(cif=texts)))


def _counted(count: int) -> str:
    return "1 crystal" if count == 1 else f"{count:,} crystals"
