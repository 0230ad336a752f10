"""Choosing crystals of an evaluation, or of anything that can be read, by flag and by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowllm.crystal import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.report import SUMMARY, TABLE, Report
from flowllm.evaluation.stages.relaxation import RELAXED
from flowllm.inputs import read_inputs

FLAG_OF = {"valid": "valid_structure"}


def select(
    source: str | Path, where: str = "all", ids: Sequence[str] | None = None, relaxed: bool = True
) -> tuple[CrystalBatch, list[str]]:
    """Crystals, and the ids of the chosen ones.

    Args:
        source: an evaluation's folder, or anything that `read_inputs` takes.
        where: "all", or a flag of the evaluation's table: "valid", "stable", "sun", ….
        ids: only these; their order counts.
        relaxed: take relaxed structures in the place of those that were given, where there are.

    Returns:
        All crystals, and the ids of those chosen.

    Raises:
        InputError: no evaluation where a flag is asked for, an unknown flag or id, or none left.
    """
    folder = Path(source)
    if not ((folder / SUMMARY).is_file() and (folder / TABLE).is_file()):
        if where != "all":
            raise InputError(f"--where {where} needs the folder of an evaluation, not {source}")
        crystals = read_inputs(source).crystals
        flags = np.ones(len(crystals), dtype=bool)
    else:
        report = Report.load(folder)
        crystals = _relaxed(folder, report.crystals) if relaxed else report.crystals
        rows = report.rows[report.rows["readable"].fillna(False).astype(bool)]
        flag = FLAG_OF.get(where, where)
        if where != "all" and flag not in rows:
            raise InputError(f"{folder} has no column {flag}: that stage was not run")
        flags = (
            np.ones(len(crystals), dtype=bool)
            if where == "all"
            else rows[flag].fillna(False).to_numpy(dtype=bool)
        )
    known = [str(name) for name in crystals.ids]
    for name in ids or ():
        if name not in known:
            raise InputError(f"{source} holds no crystal {name}")
    fitting = {name for name, flag in zip(known, flags.tolist(), strict=True) if flag}
    chosen = [name for name in (known if ids is None else ids) if name in fitting]
    if not chosen:
        raise InputError(f"no crystal of {source} is {where}" + (" among the ids" if ids else ""))
    return crystals, chosen


def _relaxed(folder: Path, given: CrystalBatch) -> CrystalBatch:
    """The given crystals with relaxed ones in their place."""
    from flowllm.relax import Relaxation

    file = folder / "stages" / "relaxation" / RELAXED
    if not file.is_file():
        return given
    after = Relaxation.load(file).crystals
    place = {str(name): index for index, name in enumerate(after.ids)}
    return CrystalBatch.concatenate(
        after[place[str(crystal.ids[0])]] if str(crystal.ids[0]) in place else crystal
        for crystal in given
    )
