"""The folders of our own runs."""

from __future__ import annotations

from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.inputs.arrays import of_batch
from flowllm.inputs.cif import read_folder
from flowllm.inputs.rows import InputRows, Reader
from flowllm.inputs.tables import table_of
from flowllm.runs.archive import open_archive
from flowllm.runs.files import read_json
from flowllm.runs.folder import RunFolder

RUNS_OF_CRYSTALS = ("generate", "refine")


def read_run(folder: Path, reader: Reader) -> InputRows:
    """The refined crystals of a run: exact arrays where they are there, else its CIF files."""
    record = RunFolder.read(folder)
    if record["command"] not in RUNS_OF_CRYSTALS:
        raise InputError(
            f"{folder} is a run of `flowllm {record['command']}`; give the folder of one of "
            f"generate or refine, or a folder of CIF files"
        )
    finished = record["status"] == "finished"
    parts = sorted((folder / "parts").glob("*.npz"))
    if finished and (folder / "trajectories.npz").is_file():
        found = of_batch(Trajectory.load(folder / "trajectories.npz").last)
        if (folder / "summary.json").is_file():
            stages = read_json(folder / "summary.json").get("stages", [])
            found.rejected = sum(int(stage["rejected"]) for stage in stages)
    elif parts:
        found = of_batch(CrystalBatch.concatenate(Trajectory.load(p).last for p in parts))
        found.prompts, found.rejected = _of_parts(parts)
    elif (folder / "crystals").is_dir():
        found = read_folder(folder / "crystals", reader)
    else:
        raise InputError(f"{folder}: the run has not finished any crystals yet")
    if found.prompts is None and (folder / "crystals.csv").is_file():
        rows = table_of(folder / "crystals.csv")
        known = dict(zip(rows.get("id", []), rows.get("prompt", []), strict=True))
        found.prompts = [known.get(name, "") for name in found.names]
    if not finished:
        wanted = record["settings"].get("num", "more")
        found.notes.append(f"the run is not finished: {len(found.names)} crystals of {wanted}")
    if found.rejected:
        found.notes.append(f"{found.rejected} samples were rejected before and have no row")
    return found


def _of_parts(parts: list[Path]) -> tuple[list[str], int]:
    """Prompts and the number of rejected samples that the parts of a run record."""
    prompts: list[str] = []
    rejected = 0
    for part in parts:
        with open_archive(part, "is no part of a run") as archive:
            prompts += [str(prompt).strip() for prompt in archive["prompts"]]
            rejected += int(archive["stage_counts"][:, 1].sum())
    return prompts, rejected
