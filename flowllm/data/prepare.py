"""Prepare a data set: every structure reduced, every failure listed, finished parts kept.

The output folder holds `<split>.npz` (a `CrystalSet`), `rejected.csv`, `remarks.csv` where
something is to be said of rows, `summary.json`, `run.json` and, while the work goes on, `parts/`.
Chunks are cut by index, so the result is the same to the byte however many processes work and
however often they are interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.data.chunks import Chunk, PreparedChunk, prepare_chunk
from flowllm.data.dataset import CrystalSet
from flowllm.data.download import cache_dir
from flowllm.data.hull_entries import HULL_FILE
from flowllm.data.reduce import ReduceSettings
from flowllm.data.results import write_results, write_shipped
from flowllm.data.shipped import shipped_digest, ships
from flowllm.data.sources import (
    SPLITS,
    Rows,
    data_dir,
    list_rows,
    load_rows,
    rows_of,
    source_digest,
)
from flowllm.errors import InputError
from flowllm.inputs.items import Listing
from flowllm.parallel.map import Failure, iterate_crystals
from flowllm.runs.files import read_record
from flowllm.runs.folder import RunFolder
from flowllm.runs.json_object import JsonObject
from flowllm.runs.parts import Parts, Wanted
from flowllm.runs.progress import ItemProgress
from flowllm.settings import check_workers

COMMAND = "data"
CHUNK_SIZE = 250
OWN_SPLITS = (0.9, 0.05, 0.05)
"""Shares of train, val and test when one's own data are split."""


def prepare(
    source: str | Path = "mp_20", out: str | Path | None = None, **options: Any
) -> dict[str, CrystalSet]:
    """Prepare a source as `prepare_folder` does, and read the result.

    Returns:
        Split -> prepared crystals, in the source's order.
    """
    folder = prepare_folder(source, out, **options)
    return {split: CrystalSet.load(folder / f"{split}.npz") for split in splits_of(folder)}


def prepare_folder(
    source: str | Path = "mp_20",
    out: str | Path | None = None,
    settings: ReduceSettings | None = None,
    limit: int | None = None,
    splits: tuple[str, ...] | None = None,
    random_split: bool = False,
    seed: int = 0,
    workers: int | None = None,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: ItemProgress | None = None,
    chunk_size: int = CHUNK_SIZE,
) -> Path:
    """Prepare a source, or resume an interrupted preparation.

    Args:
        source: "mp_20", "mpts_52", "perov_5", or crystals of your own in any kind of file
            (`flowllm.data.sources.load_rows`).
        out: the output folder; default a folder of the user's cache that belongs to this source
            and these settings.
        settings: how structures are made unique.
        limit: only the first rows of each split, cut before anything is prepared.
        splits: which splits of a named data set; default all.
        random_split: cut one's own data at random into train, val and test (90, 5, 5 %).
        seed: of that cut.
        workers: processes; default all cores.
        executor: where the work runs instead of in processes of this machine.
        overwrite: replace another run in `out`.
        progress: called with (rows done, rows in all).
        chunk_size: rows in a part; part of the run's settings.

    Returns:
        The output folder.

    Raises:
        InputError: the source, the settings or the output folder cannot be used, or no row of a
            source could be.
    """
    settings = settings or ReduceSettings()
    check_workers(workers)
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    if chunk_size < 1:
        raise InputError(f"chunk_size must be at least 1, not {chunk_size}")
    names = _split_names(source, splits, random_split)
    hull = _hull_file()
    own = None if str(source) in SPLITS else list_rows(source)
    ready = ships(source, settings)
    recorded: dict[str, Any] = {
        "source": str(source) if str(source) in SPLITS else os.path.realpath(source),
        "content": _content(source, own, names, ready),
        "reduce": asdict(settings),
        "limit": limit,
        "random_split": random_split,
        "seed": seed if random_split else None,
        "chunk_size": chunk_size,
        "hull": hull.stat().st_size if hull else None,
    }
    out = cached_folder(source, recorded) if out is None else out
    done = not overwrite and RunFolder.is_finished(out, COMMAND, recorded)
    # bad input must show before anything is written
    tables = {} if done or ready else _tables(source, own, names, random_split, seed, limit)
    with RunFolder.open(out, COMMAND, recorded, overwrite, wait=True) as run:
        if not run.finished and ready:
            write_shipped(run.path, source, names, limit)
            run.finish()
        elif not run.finished:
            started = time.perf_counter()
            parts = _prepare_parts(run, tables, settings, chunk_size, workers, executor, progress)
            if not any(len(part.kept) for split in parts.values() for part in split):
                run.discard()
                raise InputError(_nothing_kept(tables, parts))
            write_results(run.path, source, tables, parts, hull, started)
            run.finish()
        shutil.rmtree(run.path / "parts", ignore_errors=True)
        return run.path


def splits_of(folder: Path) -> list[str]:
    """The splits that a prepared folder holds, in the order of the source's."""
    return list(JsonObject.read(folder / "summary.json").record("splits"))


def cached_folder(source: str | Path, recorded: dict[str, Any]) -> Path:
    """The cache folder of this source prepared with these settings."""
    digest = hashlib.sha256(json.dumps(recorded, sort_keys=True).encode()).hexdigest()[:12]
    name = str(source) if str(source) in SPLITS else Path(source).name.split(".")[0]
    return cache_dir() / "prepared" / f"{name}-{digest}"


def summary_of(folder: str | Path) -> dict[str, Any]:
    """The content of a prepared folder's summary.json: per split read, kept, rejected by reason, …

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = Path(folder) / "summary.json"
    summary = read_record(path)
    splits = JsonObject(summary, path).record("splits")
    for split in (splits.record(name) for name in splits):
        for name in ("kept", "rejected"):
            split.integer(name, least=0)
        remarks = split.record("remarks", {})
        for remark in remarks:
            remarks.integer(remark, least=0)
        split.array("notes", [])
    return summary


def _split_names(
    source: str | Path, splits: tuple[str, ...] | None, random_split: bool
) -> tuple[str, ...]:
    if str(source) in SPLITS:
        if random_split:
            raise InputError(f"{source} has its own splits; random_split is for your own data")
        return tuple(splits or SPLITS[str(source)])
    if splits not in (None, ("train",)):
        raise InputError(f"{source} has one split, train; random_split makes three of it")
    return ("train", "val", "test") if random_split else ("train",)


def _content(
    source: str | Path, own: Listing | None, names: tuple[str, ...], ready: bool
) -> str | dict[str, str]:
    """A value that changes when the source does."""
    if own is not None:
        return own.digest
    if ready:
        return shipped_digest(source)
    return {split: source_digest(source, split) for split in names}


def _tables(
    source: str | Path,
    own: Listing | None,
    names: tuple[str, ...],
    random_split: bool,
    seed: int,
    limit: int | None,
) -> dict[str, Rows]:
    """Split -> rows, cut to the limit."""
    if own is None:
        tables = {split: load_rows(source, split) for split in names}
    elif random_split:
        tables = _split_at_random(rows_of(own, str(source)), seed)
    else:
        tables = {"train": rows_of(own, str(source))}
    return {split: rows.take(slice(limit)) for split, rows in tables.items()}


def _split_at_random(rows: Rows, seed: int) -> dict[str, Rows]:
    """Train, val and test by `OWN_SPLITS`, each in the order of the source."""
    order = np.random.default_rng(seed).permutation(len(rows))
    cuts = np.round(np.cumsum(OWN_SPLITS[::-1])[:2] * len(rows)).astype(int)
    test, val, train = np.split(order, cuts)
    if not (len(test) and len(val)):
        raise InputError(f"{rows.origin} holds {len(rows)} rows, too few to split in three")
    parts = {"train": train, "val": val, "test": test}
    return {name: rows.take(np.sort(part)) for name, part in parts.items()}


def _hull_file() -> Path | None:
    folder = data_dir()
    file = folder / HULL_FILE if folder else None
    return file if file is not None and file.is_file() else None


def _prepare_parts(
    run: RunFolder,
    tables: dict[str, Rows],
    settings: ReduceSettings,
    chunk_size: int,
    workers: int | None,
    executor: Executor | None,
    progress: ItemProgress | None,
) -> dict[str, list[PreparedChunk]]:
    """Every chunk's part, split by split; finished parts are read from disk."""
    chunks = [
        Chunk(split, number, start, rows.take(slice(start, start + chunk_size)), settings)
        for split, rows in tables.items()
        for number, start in enumerate(range(0, len(rows), chunk_size))
    ]
    total, done = sum(map(len, tables.values())), 0

    def make(missing: list[int]) -> Iterator[tuple[int, PreparedChunk]]:
        if progress:  # what was there already
            progress(done, total)
        wanted = [chunks[place] for place in missing]
        results = iterate_crystals(
            prepare_chunk, wanted, executor, workers, names=[chunk.name for chunk in wanted]
        )
        for place, part in zip(missing, results, strict=True):
            if isinstance(part, Failure):  # rows that fail are inside a part; this is the machinery
                raise RuntimeError(f"{part}\n{part.details}")
            yield place, part

    kept = Parts(run.path / "parts", PreparedChunk.arrays, PreparedChunk.from_arrays)
    parts: dict[int, PreparedChunk] = {}
    wanted = [Wanted(chunk.name, f"{chunk.name} of {run.digest}") for chunk in chunks]
    for place, part, new in kept.each(wanted, make):
        parts[place] = part
        done += len(chunks[place].rows)
        if progress and new:
            progress(done, total)
    result: dict[str, list[PreparedChunk]] = {split: [] for split in tables}
    for place, chunk in enumerate(chunks):
        result[chunk.split].append(parts[place])
    return result


def _nothing_kept(tables: dict[str, Rows], parts: dict[str, list[PreparedChunk]]) -> str:
    rows = next(iter(tables.values()))
    _, name, why = next(entry for part in parts[next(iter(tables))] for entry in part.rejected)
    return f"{rows.origin}: none of its rows could be prepared; the first, {name}: {why}"
