"""A folder of input files per crystal, written atomically, and a list of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.runs.files import (
    atomic_write,
    friendly_os_errors,
    remove_leftovers,
    whole_folder,
    write_new,
)
from flowllm.runs.progress import ItemProgress
from flowllm.runs.texts import csv_of, printable, safe_names

README = "README.txt"
COSTLY = 20  # atoms; a larger cell is remarked on
RESERVED = ("run.json", "readme.txt", "export.csv", "pseudo")

Files = dict[str, str]
"""File name -> content."""
Writer = Callable[[CrystalBatch], tuple[Files, list[str]]]
"""The input files of a batch of one and notes on them; InputError where there can be none."""


@dataclass(frozen=True)
class Exported:
    """The outcome for one crystal.

    Attributes:
        id: of the crystal.
        formula: its reduced formula.
        folder: name of its folder; empty where none was written.
        notes: what to look at before the calculation is started.
        problem: why it was left out; empty where it was not.
    """

    id: str
    formula: str
    folder: str
    notes: tuple[str, ...] = ()
    problem: str = ""


def write_folders(
    crystals: CrystalBatch,
    out: Path,
    writer: Writer,
    readme: str,
    progress: ItemProgress | None = None,
) -> list[Exported]:
    """Write one folder per crystal, atomically; failures do not stop the others.

    Folders that are there already are left alone. `README.txt` and `export.csv` stand beside them.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    done = []
    with friendly_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)  # of an export that was killed
        for row, (crystal, folder) in enumerate(zip(crystals, folder_names(crystals), strict=True)):
            done.append(_write_folder(crystal, out / folder, writer))
            if progress:
                progress(row + 1, len(crystals))
    if any(not each.problem for each in done):
        atomic_write(out / README, readme)
        atomic_write(out / "export.csv", _table(done))
    return done


def _write_folder(crystal: CrystalBatch, folder: Path, writer: Writer) -> Exported:
    name, formula = str(crystal.ids[0]), crystal.formulas[0]
    try:
        files, notes = writer(crystal)
    except OSError:
        raise
    except Exception as error:  # spglib and the input sets raise many kinds on strange cells
        problem = first_line(error).removeprefix(f"{name}: ")
        if not isinstance(error, InputError):
            problem = f"{type(error).__name__}: {problem}"
        return Exported(name, formula, "", problem=problem)
    count = int(crystal.num_atoms[0])
    if count > COSTLY:
        notes = [*notes, f"{count} atoms, more than {COSTLY}: a costly calculation"]
    if not folder.is_dir():
        about = [
            f"{formula}, {count} atoms, id {printable(name)}",
            *(f"- {note}" for note in notes),
        ]
        with whole_folder(folder) as partial:
            for file, text in {**files, README: "\n".join(about) + "\n"}.items():
                write_new(partial / file, text)
    return Exported(name, formula, folder.name, tuple(notes))


def folder_names(crystals: CrystalBatch) -> list[str]:
    """A unique folder name for each id, safe on every file system."""
    return safe_names(crystals.ids.tolist(), RESERVED)


def structure_of(crystal: CrystalBatch) -> Any:
    """The pymatgen structure of a batch of one.

    Raises:
        InputError: it has no atoms, a type is open, or the cell has zero volume.
    """
    if not crystal.num_atoms[0]:
        raise InputError(f"{crystal.ids[0]}: no atoms")
    return crystal.to_pymatgen()[0]


def _table(done: list[Exported]) -> str:
    return csv_of(
        ["id", "formula", "folder", "notes", "problem"],
        [[e.id, e.formula, e.folder, "; ".join(e.notes), e.problem] for e in done],
    )
