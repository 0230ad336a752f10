"""The folders of our own runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.inputs.arrays import batch_listing
from flowllm.inputs.items import Listing
from flowllm.inputs.tables import table_of
from flowllm.runs.archive import open_archive
from flowllm.runs.folder import RunFolder
from flowllm.runs.json_object import JsonObject

RUNS_OF_CRYSTALS = ("generate", "refine")


def is_run(folder: Path) -> bool:
    """Whether a folder is a flowllm run; other programs also write a run.json."""
    try:
        return bool(RunFolder.read(folder))
    except InputError:
        return False


def run_listing(folder: Path, read_folder: Callable[[Path], Listing]) -> Listing:
    """The refined crystals of a run: exact arrays if present, else its CIF files.

    Raises:
        InputError: it is the run of another command, or has no crystals yet.
    """
    record = RunFolder.read(folder)
    if record["command"] not in RUNS_OF_CRYSTALS:
        raise InputError(
            f"{folder} contains a run of `flowllm {record['command']}`; give the folder of one of "
            f"generate or refine, or a folder of CIF files"
        )
    finished = record["status"] == "finished"
    parts = sorted((folder / "parts").glob("*.npz"))
    if finished and (folder / "trajectories.npz").is_file():
        found = _exact([folder / "trajectories.npz"], folder)
        if (folder / "summary.json").is_file():
            stages = JsonObject.read(folder / "summary.json").records("stages", [])
            found.rejected = sum(stage.integer("rejected", least=0) for stage in stages)
    elif parts:
        found = _exact(parts, folder)
        found.prompts, found.rejected = _of_parts(parts)
    elif (folder / "crystals").is_dir():
        found = read_folder(folder / "crystals")
    else:
        raise InputError(f"{folder}: the run has not finished any crystals yet")
    if found.prompts is None and (folder / "crystals.csv").is_file():
        rows = table_of(folder / "crystals.csv")
        known = dict(zip(rows.get("id", []), rows.get("prompt", []), strict=False))
        found.prompts = [known.get(item.name, "") for item in found.items]
    if not finished:
        wanted = record["settings"].get("num", "more")
        found.notes.append(f"the run is not finished: {len(found.items)} crystals of {wanted}")
    if found.rejected:
        found.notes.append(f"{found.rejected} samples were rejected before and have no row")
    return found


def _exact(files: list[Path], folder: Path) -> Listing:
    """The last frames of trajectories."""
    batch = CrystalBatch.concatenate(Trajectory.load(file).last for file in files)
    found = batch_listing(batch, str(folder))
    found.hashes = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    return found


def _of_parts(parts: list[Path]) -> tuple[list[str], int]:
    """Prompts and the number of rejected samples recorded in the parts of a run."""
    prompts: list[str] = []
    rejected = 0
    for part in parts:
        with open_archive(part, "is not part of a run") as archive:
            prompts += [str(prompt).strip() for prompt in archive["prompts"]]
            rejected += int(archive["stage_counts"][:, 1].sum())
    return prompts, rejected
