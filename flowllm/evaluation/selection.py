"""Choosing crystals of an evaluation, or of anything that can be read, by flag and by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.evaluation.report import SUMMARY, TABLE, Report
from flowllm.evaluation.stages.relaxation import relaxed_crystals
from flowllm.inputs import read_inputs
from flowllm.inputs.remarks import summary
from flowllm.runs.reading import open_regular
from flowllm.runs.texts import unguarded_frame

FLAG_OF = {"valid": "valid_structure"}


@dataclass(frozen=True)
class Selection:
    """Crystals and which of them are chosen.

    Attributes:
        crystals: all that can be read.
        ids: the chosen ones.
        notes: what is to be said of the source: what could not be read, files of other kinds.
        remarks: the remarks on its crystals, counted.
    """

    crystals: CrystalBatch
    ids: list[str]
    notes: tuple[str, ...]
    remarks: str


def select(
    source: str | Path, where: str = "all", ids: Sequence[str] | None = None, relaxed: bool = True
) -> Selection:
    """Crystals of an evaluation or of anything that can be read, by flag and by id.

    Args:
        source: an evaluation's folder, or anything that `read_inputs` takes.
        where: "all", or flags of the evaluation's table that are all true, joined by commas, as in
            "sun" or "stable,novel"; "valid" is short for "valid_structure".
        ids: only these; their order counts.
        relaxed: take relaxed structures in the place of those that were given, where there are.

    Raises:
        InputError: no evaluation where a flag is asked for, an unknown flag or id, or none left.
    """
    folder, fitting = Path(source), None
    notes: tuple[str, ...] = ()
    if not ((folder / SUMMARY).is_file() and (folder / TABLE).is_file()):
        if where != "all":
            raise InputError(f"--where {where} needs the folder of an evaluation, not {source}")
        found = read_inputs(source)
        crystals, remarks = found.crystals, found.remarks.tolist()
        rows = zip(found.ids, found.reasons, strict=True)
        notes = (*found.notes, *(f"left out: {name}: {reason}" for name, reason in rows if reason))
    else:
        report = Report.load(folder)
        remarks = report.rows["remarks"].tolist() if "remarks" in report.rows else []
        crystals = _relaxed(folder, report.crystals) if relaxed else report.crystals
        if where != "all":
            named = ",".join(FLAG_OF.get(flag.strip(), flag) for flag in where.split(","))
            fitting = set(ids_where(folder, named))
    known = [str(name) for name in crystals.ids]
    for name in ids or ():
        if name not in known:
            raise InputError(f"{source} contains no crystal {name}")
    wanted = known if ids is None else list(ids)
    chosen = [name for name in wanted if fitting is None or name in fitting]
    if not chosen:
        raise InputError(f"no crystal of {source} is {where}" + (" among the ids" if ids else ""))
    return Selection(crystals, chosen, notes, summary(remarks))


def _relaxed(folder: Path, given: CrystalBatch) -> CrystalBatch:
    """The given crystals, replaced by relaxed ones where available."""
    after = relaxed_crystals(folder)
    if after is None:
        return given
    place = {str(name): index for index, name in enumerate(after.ids)}
    return CrystalBatch.concatenate(
        after[place[str(crystal.ids[0])]] if str(crystal.ids[0]) in place else crystal
        for crystal in given
    )


def ids_where(table: str | Path, where: str) -> list[str]:
    """The ids of an evaluation's `per_crystal.csv` whose flags are all true.

    Args:
        table: the file, or the folder that holds it.
        where: names of columns joined by commas, as in "sun" or "stable,novel".

    Raises:
        InputError: no such table or column, a column is not a flag or was not computed, or no
            crystal has all the flags.
    """
    import pandas as pd

    path = Path(table) / "per_crystal.csv" if Path(table).is_dir() else Path(table)
    try:
        with open_regular(path) as content:
            rows = unguarded_frame(pd.read_csv(content, dtype=str, keep_default_na=False))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable table: {first_line(error)}") from error
    flags = [name.strip() for name in where.split(",") if name.strip()]
    if not flags or "id" not in rows:
        raise InputError(f"{path} has no column id" if flags else "no flag is given")
    kept = pd.Series(True, index=rows.index)
    for flag in flags:
        if flag not in rows:
            raise InputError(f"{path} has no column {flag}; its columns are {', '.join(rows)}")
        values = rows[flag].str.strip().str.lower()
        if not values.isin(["true", "false", ""]).all():
            raise InputError(f"{path}: column {flag} is not a true/false flag")
        if not values.isin(["true", "false"]).any():
            raise InputError(f"{path}: {flag} was not computed")
        kept &= values == "true"
    if not kept.any():
        raise InputError(f"{path}: no crystal is {' and '.join(flags)}")
    return rows["id"][kept].tolist()
