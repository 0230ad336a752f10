"""Hand-off to density functional theory, which alone decides stability: input files only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.export.espresso import EspressoSettings, export_espresso
from flowllm.export.folders import Exported, folder_names
from flowllm.export.vasp import export_vasp
from flowllm.runs.identity import digest, open_run
from flowllm.runs.progress import ItemProgress
from flowllm.symmetry.exact import conventional_cells

__all__ = ["KINDS", "Exported", "choose", "export_crystals", "folder_names"]

KINDS = ("vasp", "quantum-espresso")
NAMED = 5  # culprits that a message names


def export_crystals(
    kind: str,
    crystals: CrystalBatch,
    out: str | Path,
    ids: Sequence[str] | None = None,
    *,
    espresso: EspressoSettings | None = None,
    conventional: bool = False,
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
        conventional: write the conventional cells of crystals that are symmetric within 0.01 Å.
        inputs: files and folders that were read; none may lie in `out`.
        overwrite: empty a folder that holds another export, with all that was calculated there.
        progress: called as progress(done, total).

    Raises:
        InputError: an unknown kind or id, no crystal that can be exported, or `out` is refused.
    """
    if kind not in KINDS:
        raise InputError(f"cannot export to {kind}; choose from {', '.join(KINDS)}")
    chosen = crystals if ids is None else choose(crystals, ids)
    if not len(chosen):
        raise InputError("no crystals to export")
    if conventional:
        chosen = conventional_cells(chosen)
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
    """The crystals of these ids, in order, without duplicates.

    Raises:
        InputError: some ids belong to no crystal; they are named.
    """
    place = {str(name): row for row, name in enumerate(crystals.ids)}
    wanted = list(dict.fromkeys(str(name) for name in ids))
    unknown = [name for name in wanted if name not in place]
    if unknown:
        shown = ", ".join(unknown[:NAMED]) + (", …" if len(unknown) > NAMED else "")
        raise InputError(f"no crystal has the id {shown}")
    return crystals[[place[name] for name in wanted]] if wanted else CrystalBatch.empty()


def _examples(left_out: list[Exported]) -> str:
    shown = "; ".join(f"{each.id}: {each.problem}" for each in left_out[:NAMED])
    return shown + ("; …" if len(left_out) > NAMED else "")
