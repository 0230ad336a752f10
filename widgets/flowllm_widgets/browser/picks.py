"""The picked crystals, as files for other programs."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import ase.io

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.report import csv_text
from flowllm.export import KINDS, export_crystals, folder_names
from flowllm.metrics.symmetry import SYMPREC
from flowllm.runs.files import friendly_os_errors, whole_folder, write_new
from flowllm.symmetry.cif import to_cif

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
    """Write picked crystals into a new folder, atomically.

    Inputs of density functional theory are written as `flowllm export` does, so an export that was
    interrupted goes on there. CIFs hold a crystal by the symmetry that the browser shows,
    idealised.

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
    target = target_of(out)
    if kind in KINDS:
        done = export_crystals(kind, crystals, target)
        left_out = [each for each in done if each.problem]
        text = f"{_counted(len(done) - len(left_out))} written to {target}"
        return text + "".join(f"; left out {each.id}: {each.problem}" for each in left_out)
    if kind not in FORMATS.values():
        raise InputError(f"cannot export as {kind}; choose from {', '.join(FORMATS.values())}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists and is not empty: name another folder")
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
    if kind == "cif":
        crystals.lattices  # noqa: B018
        for name, text in zip(file_names(crystals), to_cif(crystals, SYMPREC), strict=True):
            write_new(folder / f"{name}.cif", text)
    else:
        write_new(folder / "picks.csv", csv_text(rows.assign(cif=to_cif(crystals, SYMPREC))))


def file_names(crystals: CrystalBatch) -> list[str]:
    """The id and formula of each crystal, as in "c000010_SrTiO3"."""
    names = folder_names(crystals)
    return [f"{name}_{formula}" for name, formula in zip(names, crystals.formulas, strict=True)]


def as_download(folder: Path) -> tuple[str, bytes, str]:
    """Name, content and media type of a written folder; several files become an archive."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) == 1:
        return files[0].name, files[0].read_bytes(), "application/octet-stream"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, f"{folder.name}/{path.relative_to(folder)}")
    return f"{folder.name}.zip", buffer.getvalue(), "application/zip"


def target_of(out: str | Path) -> Path:
    """The folder that a text names."""
    return Path(os.path.realpath(Path(out).expanduser()))


def _counted(count: int) -> str:
    return "1 crystal" if count == 1 else f"{count:,} crystals"
