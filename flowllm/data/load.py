"""load_dataset: prepared crystals by name or path, prepared on first use."""

from __future__ import annotations

from pathlib import Path

from flowllm.data.dataset import CrystalSet
from flowllm.data.prepare import COMMAND, prepare_folder
from flowllm.data.reduce import ReduceSettings
from flowllm.data.shipped import load_shipped, ships
from flowllm.data.sources import SPLITS
from flowllm.errors import InputError
from flowllm.inputs.runs import RUNS_OF_CRYSTALS, is_run
from flowllm.runs.folder import RUN, RunFolder
from flowllm.runs.progress import ItemProgress


def load_dataset(
    source: str | Path = "mp_20",
    split: str = "train",
    settings: ReduceSettings | None = None,
    limit: int | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
) -> CrystalSet:
    """One split of a data set as prepared arrays.

    MP-20 ships with the package, prepared by the default settings. Another name, or any file or
    folder of crystals, is prepared on first use into the user's cache and read from there
    afterwards; a folder that `prepare` filled is read as it is, with numpy alone.

    Args:
        source: "mp_20", "mpts_52", "perov_5", a prepared folder, or anything that
            `flowllm.inputs` reads.
        split: "train", "val" or "test"; your own data are "train".
        settings: how structures are made unique; a prepared folder has its own.
        limit: only the first rows, cut before preparation.
        workers: processes for the preparation.
        progress: called with (rows done, rows in all) while it is prepared.

    Raises:
        InputError: no such source or split, or it cannot be prepared.
    """
    folder = Path(source)
    if str(source) not in SPLITS and (folder / RUN).is_file() and not _is_of_crystals(folder):
        return load_prepared(folder, split)[: limit if limit else None]
    if str(source) in SPLITS and split not in SPLITS[str(source)]:
        known = ", ".join(SPLITS[str(source)])
        raise InputError(f"{source} has no split {split}; it has {known}")
    if ships(source, settings):
        return load_shipped(source, split)[: limit if limit else None]
    if str(source) not in SPLITS and split != "train":
        raise InputError(
            f"{source} has one split, train; prepare it with random_split for val and test"
        )
    prepared = prepare_folder(
        source, settings=settings, limit=limit, workers=workers, progress=progress
    )
    return CrystalSet.load(prepared / f"{split}.npz")


def _is_of_crystals(folder: Path) -> bool:
    """Whether a folder is a run that made crystals, which can be a source."""
    return is_run(folder) and RunFolder.read(folder)["command"] in RUNS_OF_CRYSTALS


def load_prepared(folder: str | Path, split: str) -> CrystalSet:
    """One split of a folder written by `prepare`.

    Raises:
        InputError: the folder contains no finished preparation, or not this split.
    """
    folder = Path(folder)
    record = RunFolder.read(folder)
    if record["command"] != COMMAND:
        raise InputError(f"{folder} holds a run of {record['command']}, no prepared data")
    if record["status"] != "finished":
        raise InputError(f"the preparation in {folder} is not finished; run it again to resume")
    file = folder / f"{split}.npz"
    if not file.is_file():
        names = sorted(f.stem for f in folder.glob("*.npz"))
        raise InputError(f"{folder} has no split {split}; it has {', '.join(names)}")
    return CrystalSet.load(file)
