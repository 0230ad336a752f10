"""Sources of rows: MP-20 and related data sets, or your own crystals in any kind of file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from flowllm.data.download import cache_dir, fetch_mp20
from flowllm.data.shipped import ships
from flowllm.errors import InputError
from flowllm.inputs.items import Item, Listing, unique_names
from flowllm.inputs.limits import DEFAULT_LIMITS, ReadLimits, shown
from flowllm.inputs.remarks import USED
from flowllm.inputs.sources import list_source

DATA_DIR = "FLOWLLM_DATA_DIR"
SPLITS: dict[str, tuple[str, ...]] = {
    "mp_20": ("train", "val", "test"),
    "mpts_52": ("val", "test"),
    "perov_5": ("val", "test"),
}
"""Data sets that have a name, with their splits."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "space_group": ("spacegroup.number", "space_group"),
    "formation_energy": ("formation_energy_per_atom",),
    "e_above_hull": ("e_above_hull", "energy_above_hull"),
    "band_gap": ("band_gap",),
    "exact": ("structure_exact",),
}
"""Property -> the column names under which tables hold it, the first one present counts."""


@dataclass(frozen=True)
class Rows:
    """R rows of a source, before any structure is parsed.

    Attributes:
        ids: R names, all different.
        items: R crystals, which may still be text.
        properties: name -> (R,) float64 as in `flowllm.data.dataset.PROPERTIES`; NaN where the
            source is silent, for the space group 0.
        origin: the file or folder, for messages.
        notes: messages on the whole.
    """

    ids: list[str]
    items: list[Item]
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    origin: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: np.ndarray | slice) -> Rows:
        """Some of the rows, by position."""
        chosen = np.arange(len(self))[index]
        return Rows(
            [self.ids[i] for i in chosen],
            [self.items[i] for i in chosen],
            {name: values[chosen] for name, values in self.properties.items()},
            self.origin,
            self.notes,
        )


def load_rows(
    source: str | Path, split: str | None = None, limits: ReadLimits = DEFAULT_LIMITS
) -> Rows:
    """The rows of a split of a named data set, or of user-provided crystals.

    MP-20's CIFs are read from the folder that FLOWLLM_DATA_DIR names, else from the user's cache,
    else they are downloaded there and verified; `flowllm.data.load_dataset` needs none of them.
    MPTS-52 and Perov-5 come from FLOWLLM_DATA_DIR only.

    Args:
        source: "mp_20", "mpts_52", "perov_5", or a path to anything that `flowllm.inputs` reads: a
            table with a column `cif` (ids in `material_id` or `id`), a folder of files, and so on.
        split: "train", "val" or "test" for a named data set; must be None for one's own.
        limits: of time and size.

    Raises:
        InputError: unknown source or split, a missing file, no column `cif`, or no rows.
    """
    named = str(source) in SPLITS
    origin = str(named_file(str(source), split or "train")) if named else str(source)
    return rows_of(list_rows(source, split, limits), origin)


def list_rows(
    source: str | Path, split: str | None = None, limits: ReadLimits = DEFAULT_LIMITS
) -> Listing:
    """The crystals of a source before their texts are parsed; see `load_rows`.

    Raises:
        InputError: as there.
    """
    if str(source) in SPLITS:
        return list_source(named_file(str(source), split or "train"), limits)
    path = Path(source)
    if split not in (None, "train"):
        raise InputError(f"{path} has no split {split}; your own data have one split, train")
    if not path.exists():
        raise InputError(_unknown(source))
    return list_source(path, limits)


def rows_of(found: Listing, origin: str) -> Rows:
    """The rows of a listing, with the properties in its tables.

    Raises:
        InputError: there are none, or a property is not a number.
    """
    if not found.items:
        raise InputError(f"{origin} contains no rows")
    ids, again = unique_names([item.name for item in found.items])
    items = [
        replace(item, name=name, remarks=(f"the id {again[row]} {USED}", *item.remarks))
        if row in again
        else replace(item, name=name)
        for row, (item, name) in enumerate(zip(found.items, ids, strict=True))
    ]
    properties = {}
    for name, candidates in COLUMNS.items():
        column = next((c for c in candidates if c in found.columns), None)
        if column is None:
            continue
        if column in found.ambiguous:
            raise InputError(found.ambiguous[column])
        properties[name] = _numbers(found.columns[column], origin, column)
    if "space_group" in properties:
        properties["space_group"] = _space_groups(properties["space_group"], origin)
    return Rows(ids, items, properties, origin, tuple(found.notes))


def source_digest(source: str | Path, split: str | None = None) -> str:
    """Short hex digest of the source's files; it changes with their content.

    Raises:
        InputError: as `load_rows`, where a file is missing.
    """
    if str(source) not in SPLITS:
        return list_rows(source).digest
    file = named_file(str(source), split or "train")
    digest = hashlib.sha256()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def _unknown(source: str | Path) -> str:
    return (
        f"no such data set: {source}; give a table, a file or folder of crystals, "
        f"or one of {', '.join(SPLITS)}"
    )


def data_dir() -> Path | None:
    """The folder that FLOWLLM_DATA_DIR names, None where it is not set.

    Raises:
        InputError: it names no folder.
    """
    value = os.environ.get(DATA_DIR)
    if not value:
        return None
    if not Path(value).is_dir():
        raise InputError(f"{DATA_DIR} is {value}, which is not a folder")
    return Path(value)


def is_at_hand(source: str | Path, split: str) -> bool:
    """Whether a split is available without a download."""
    if str(source) not in SPLITS:
        return Path(source).exists()
    if split not in SPLITS[str(source)]:
        return False
    if ships(source):
        return True
    folders = [folder for folder in (data_dir(), cache_dir()) if folder is not None]
    names = (f"{split}.csv.gz", f"{split}.csv")
    return any((f / str(source) / name).is_file() for f in folders for name in names)


def named_file(source: str, split: str) -> Path:
    """The CSV file of a named data set's split, downloaded if necessary.

    Raises:
        InputError: no such split, or the file is nowhere to be had.
    """
    if split not in SPLITS[source]:
        raise InputError(f"{source} has no split {split}; it has {', '.join(SPLITS[source])}")
    folder = data_dir()
    if folder is not None:
        for suffix in (".csv.gz", ".csv"):
            file = folder / source / f"{split}{suffix}"
            if file.is_file():
                return file
    if source == "mp_20":
        return fetch_mp20(split)
    where = folder / source / f"{split}.csv.gz" if folder else f"{source}/{split}.csv.gz"
    hint = "" if folder else f"; set {DATA_DIR} to the folder that holds it"
    raise InputError(f"no such file: {where}{hint}")


def _numbers(values: list[str], origin: str, column: str) -> np.ndarray:
    """(R,) float64; empty cells are NaN, True and False 1 and 0."""
    words = {"": np.nan, "nan": np.nan, "none": np.nan, "null": np.nan, "true": 1.0, "false": 0.0}
    result = np.empty(len(values))
    for row, value in enumerate(values):
        word = value.strip().lower()
        try:
            result[row] = words[word] if word in words else float(word)
        except ValueError as error:
            raise InputError(
                f"{origin}: column {column} holds {shown(value)!r} in row {row + 1}, not a number"
            ) from error
    return np.where(np.isfinite(result), result, np.nan)


def _space_groups(values: np.ndarray, origin: str) -> np.ndarray:
    known = np.nan_to_num(values)
    wrong = (known != np.round(known)) | (known < 0) | (known > 230)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{origin}: {known[row]:g} in row {row + 1} is not a space group number")
    return known
