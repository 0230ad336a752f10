"""Build a reference from a prepared data set: the arrays to compare generated crystals with."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.data.compact import write_splits
from flowllm.data.dataset import CrystalSet
from flowllm.data.shipped import CRYSTALS
from flowllm.data.sources import data_dir
from flowllm.errors import InputError
from flowllm.evaluation.reference import (
    FORMAT,
    HULL,
    PRINTS,
    RECORD,
    SCALER,
    VALUES,
    Reference,
)
from flowllm.evaluation.stages.base import in_parts
from flowllm.metrics.coverage import CompositionScaler
from flowllm.metrics.fingerprints import (
    Fingerprints,
    composition_fingerprints,
    fingerprint_crystals,
)
from flowllm.metrics.properties import density, n_elements
from flowllm.metrics.symmetry import FINE_SYMPREC, symmetry
from flowllm.runs.archive import write_archive
from flowllm.runs.files import write_json
from flowllm.runs.identity import digest, open_run
from flowllm.runs.progress import Progress, progress_of
from flowllm.settings import check_workers
from flowllm.viz.bins import histograms, shares

COMMAND = "reference"
FLOOR_SAMPLE = (
    10_000  # training crystals that stand for a perfect model, as many as papers generate
)
FLOOR_STAGES = ("contacts", "distributions", "coverage", "diversity")
OFFICIAL = {"mp_20": {"train": 27_136, "val": 9_047, "test": 9_046}}
NAMES = {"mp_20": "MP-20", "mpts_52": "MPTS-52", "perov_5": "Perov-5"}


def build_reference(
    data: str | Path,
    out: str | Path,
    name: str = "",
    *,
    source: str = "",
    executor: Executor | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Reference:
    """Write the reference of a data set with training and test splits; resumable.

    Args:
        data: "mp_20", or a folder that `flowllm data` wrote.
        out: the folder of the reference.
        name: what reports call it; default that of the data.
        source: where its structures came from; default `data`.
        executor: where fingerprints are computed; default processes here.
        workers: how many.
        overwrite: replace another reference.
        progress: called as progress(step, done, total).

    Raises:
        InputError: no such data, or a split is missing.
    """
    from flowllm.evaluation.run import evaluate

    check_workers(workers)
    train, test = (load_dataset(data, split, workers=workers) for split in ("train", "test"))
    splits = {"train": train, **_validation(data, workers), "test": test}
    version = digest(train.crystals.digest(), test.crystals.digest(), str(FORMAT))
    label = name or NAMES.get(str(data), Path(data).name)
    identity = {"data": version, "name": label, "source": source or str(data), "format": FORMAT}
    with open_run(out, COMMAND, identity, overwrite, [data]) as run:
        folder, parts = run.path, run.path / "parts"
        if not (folder / PRINTS).is_file():
            prints = _fingerprints(test.crystals, parts, executor, workers, progress)
            prints.save(folder / PRINTS, dtype="float32")
        CompositionScaler.fit(composition_fingerprints(train.crystals)).save(folder / SCALER)
        _write_values(folder, test, executor, workers)
        write_splits(folder / CRYSTALS, splits)
        _write_hull(folder)
        record: dict[str, Any] = {
            "format": FORMAT,
            "name": label,
            "version": version,
            "source": source or str(data),
            "splits": {
                split: describe(label, source or str(data), split, crystals)
                for split, crystals in splits.items()
            },
            "bins": _bins(test),
        }
        write_json(folder / RECORD, record)
        chosen = np.random.default_rng(0).permutation(len(train))[:FLOOR_SAMPLE]
        report = evaluate(
            train.crystals[np.sort(chosen)],
            Reference.load(folder),
            parts / "floor",
            only=FLOOR_STAGES,
            executor=executor,
            workers=workers,
            progress=progress,
        )
        floor = {m.name: round(m.value, 6) for m in report if np.isfinite(m.value)}
        write_json(folder / RECORD, {**record, "floor": floor, "floor_sample": len(chosen)})
        shutil.rmtree(parts)
        run.finish()
    return Reference.load(folder)


def describe(label: str, source: str, split: str, crystals: CrystalSet) -> str:
    """As in "MP-20 test (recovered, 8,879 of 9,046)", or "mine test (1,200)"."""
    size, whole = len(crystals), OFFICIAL.get(source, {}).get(split)
    if whole is None or size == whole:
        return f"{label} {split} ({size:,})"
    return f"{label} {split} (recovered, {size:,} of {whole:,})"


def _fingerprints(
    crystals: CrystalBatch,
    folder: Path,
    executor: Executor | None,
    workers: int | None,
    progress: Progress | None,
) -> Fingerprints:
    report = progress_of(progress, "fingerprints") or (lambda _done, _total: None)
    parts = in_parts(
        folder / "test", crystals.digest(), np.arange(len(crystals)),
        lambda places, inner: fingerprint_crystals(crystals[places], executor, workers, inner),
        Fingerprints, 500, report,
    )  # fmt: skip
    return Fingerprints.concatenate(parts)


def _write_values(
    folder: Path, test: CrystalSet, executor: Executor | None, workers: int | None
) -> None:
    groups = test.properties.get("space_group", np.zeros(len(test)))
    fine = symmetry(test.crystals, FINE_SYMPREC, executor, workers).space_groups
    arrays: dict[str, Any] = {
        "density": density(test.crystals).astype(np.float32),
        "n_elements": n_elements(test.crystals).astype(np.int8),
        "space_groups": np.nan_to_num(groups).astype(np.int16),
        "space_groups_fine": fine.astype(np.int16),
    }
    write_archive(folder / VALUES, arrays)


def _validation(data: str | Path, workers: int | None) -> dict[str, CrystalSet]:
    """The validation split, where there is one."""
    try:
        return {"val": load_dataset(data, "val", workers=workers)}
    except InputError:
        return {}


def _write_hull(folder: Path) -> None:
    """The hull, where the data folder has energies."""
    from flowllm.stability import build_hull_table

    home = data_dir()
    if not (folder / HULL).is_file() and home is not None and (home / "hull").is_dir():
        build_hull_table(home).save(folder / HULL)


def _bins(test: CrystalSet) -> dict[str, list[float]]:
    if not len(test):
        raise InputError("the test split contains no crystals")
    found = histograms(test.crystals)
    energies = test.properties.get("e_above_hull")
    if energies is not None and np.isfinite(energies).any():
        found["e_above_hull"] = shares("e_above_hull", energies)
    return {name: [round(x, 6) for x in row] for name, row in found.items()}
