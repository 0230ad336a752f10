"""Hand-off to density functional theory, which alone decides stability: input files, no answers."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowllm.crystals.batch import MAX_ATOMS, CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.runs.files import atomic_write, friendly_os_errors
from flowllm.runs.identity import digest, open_run
from flowllm.runs.progress import ItemProgress

if TYPE_CHECKING:
    from flowllm.export.espresso import EspressoSettings

KINDS = ("vasp", "quantum-espresso")
README = "README.txt"
RESERVED = ("run.json", "readme.txt", "export.csv", "pseudo")
NAMED = 5  # culprits that a message names

Files = dict[str, str]
"""File name -> content."""
Writer = Callable[[CrystalBatch], tuple[Files, list[str]]]
"""The input files of a batch of one and notes on them; InputError where there can be none."""


@dataclass(frozen=True)
class Exported:
    """What became of one crystal.

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


def export_crystals(
    kind: str,
    crystals: CrystalBatch,
    out: str | Path,
    ids: Sequence[str] | None = None,
    *,
    espresso: EspressoSettings | None = None,
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
    progress: ItemProgress | None = None,
) -> list[Exported]:
    """Write input files for the chosen crystals into a folder, one folder for each.

    An export that was interrupted goes on; a folder that is there is left as it is, so nothing that
    a calculation put there is lost. The files are those of `export_vasp` or `export_espresso`, and
    `export.csv` lists what became of each crystal.

    Args:
        kind: "vasp" or "quantum-espresso".
        crystals: crystals with different ids.
        out: the folder; one that holds another export or foreign files is refused.
        ids: which crystals, in this order; default all.
        espresso: settings of Quantum ESPRESSO.
        inputs: files and folders that were read; none may lie in `out`.
        overwrite: empty a folder that holds another export, with all that was calculated there.
        progress: called as progress(done, total).

    Raises:
        InputError: an unknown kind or id, no crystal that can be exported, or `out` is refused.
    """
    if kind not in KINDS:
        raise InputError(f"no export to {kind}; there are {', '.join(KINDS)}")
    chosen = crystals if ids is None else choose(crystals, ids)
    if not len(chosen):
        raise InputError("no crystals to export")
    from flowllm.export.espresso import EspressoSettings, export_espresso
    from flowllm.export.vasp import export_vasp

    espresso = espresso or EspressoSettings()
    arrays = [getattr(chosen, f.name) for f in fields(chosen)]
    identity: dict[str, Any] = {
        "kind": kind,
        "crystals": f"{len(chosen)} ({digest(*(array.tobytes() for array in arrays))})",
    }
    if kind == "quantum-espresso":
        identity |= asdict(espresso)
        names = json.dumps(identity.pop("files"), sort_keys=True)
        given = espresso.pseudopotentials
        shown = given if isinstance(given, (str, Path)) else "names" if given else "pattern"
        identity["pseudopotentials"] = f"{shown} ({digest(names)})"
    with open_run(out, "export", identity, overwrite, inputs) as run:
        if kind == "vasp":
            done = export_vasp(chosen, run.path, progress)
        else:
            done = export_espresso(chosen, run.path, espresso, progress)
        left_out = [each for each in done if each.problem]
        if len(left_out) == len(done):
            raise InputError(f"nothing can be exported: {_examples(left_out)}")
        if not run.finished:
            run.finish(exported=len(done) - len(left_out), left_out=len(left_out))
    return done


def choose(crystals: CrystalBatch, ids: Sequence[str]) -> CrystalBatch:
    """The crystals of these ids, in their order; one named twice comes once.

    Raises:
        InputError: some id is no crystal's; these are named.
    """
    place = {str(name): row for row, name in enumerate(crystals.ids)}
    wanted = list(dict.fromkeys(str(name) for name in ids))
    unknown = [name for name in wanted if name not in place]
    if unknown:
        shown = ", ".join(unknown[:NAMED]) + (", …" if len(unknown) > NAMED else "")
        raise InputError(f"no crystal has the id {shown}")
    return crystals[[place[name] for name in wanted]] if wanted else CrystalBatch.empty()


def ids_where(table: str | Path, where: str) -> list[str]:
    """The ids of an evaluation's `per_crystal.csv` whose flags are all true.

    Args:
        table: the file, or the folder that holds it.
        where: names of columns joined by commas, as in "sun" or "stable,novel".

    Raises:
        InputError: no such table or column, a column is no flag or was not computed, or no crystal
            has all the flags.
    """
    import pandas as pd

    path = Path(table) / "per_crystal.csv" if Path(table).is_dir() else Path(table)
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable table: {first_line(error)}") from error
    flags = [name.strip() for name in where.split(",") if name.strip()]
    if not flags or "id" not in rows:
        raise InputError(f"{path} has no column id" if flags else "no flag is named")
    kept = pd.Series(True, index=rows.index)
    for flag in flags:
        if flag not in rows:
            raise InputError(f"{path} has no column {flag}; its columns are {', '.join(rows)}")
        values = rows[flag].str.strip().str.lower()
        if not values.isin(["true", "false", ""]).all():
            raise InputError(f"{path}: column {flag} is no flag of true and false")
        if not values.isin(["true", "false"]).any():
            raise InputError(f"{path}: {flag} was not computed")
        kept &= values == "true"
    if not kept.any():
        raise InputError(f"{path}: no crystal is {' and '.join(flags)}")
    return rows["id"][kept].tolist()


def write_folders(
    crystals: CrystalBatch,
    out: Path,
    writer: Writer,
    readme: str,
    progress: ItemProgress | None = None,
) -> list[Exported]:
    """One folder for each crystal, whole or not at all; a crystal that fails stops no other.

    Folders that are there already are left alone. `README.txt` and `export.csv` stand beside them.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    done = []
    with friendly_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for leftover in out.glob(".*.partial"):  # of an export that was killed
            shutil.rmtree(leftover)
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
    if count > MAX_ATOMS:
        notes = [*notes, f"{count} atoms, more than {MAX_ATOMS}: a costly calculation"]
    if not folder.is_dir():
        partial = folder.with_name(f".{folder.name}.partial")
        partial.mkdir()
        about = [f"{formula}, {count} atoms, id {name}", *(f"- {note}" for note in notes)]
        for file, text in {**files, README: "\n".join(about) + "\n"}.items():
            (partial / file).write_text(text, encoding="utf-8")
        os.replace(partial, folder)
    return Exported(name, formula, folder.name, tuple(notes))


def folder_names(crystals: CrystalBatch) -> list[str]:
    """A folder's name for each id: safe on every file system, and all different."""
    taken = set(RESERVED)
    names = []
    for identity in crystals.ids:
        stem = re.sub(r"[^A-Za-z0-9._+()=-]+", "_", str(identity)).strip(".")[:100] or "crystal"
        name, number = stem, 2
        while name.lower() in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def structure_of(crystal: CrystalBatch) -> Any:
    """The pymatgen structure of a batch of one.

    Raises:
        InputError: it has no atoms, a type is open, or the cell spans no volume.
    """
    if not crystal.num_atoms[0]:
        raise InputError(f"{crystal.ids[0]}: no atoms")
    return crystal.to_pymatgen()[0]


def _table(done: list[Exported]) -> str:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", "formula", "folder", "notes", "problem"])
    for each in done:
        writer.writerow([each.id, each.formula, each.folder, "; ".join(each.notes), each.problem])
    return buffer.getvalue()


def _examples(left_out: list[Exported]) -> str:
    shown = "; ".join(f"{each.id}: {each.problem}" for each in left_out[:NAMED])
    return shown + ("; …" if len(left_out) > NAMED else "")
