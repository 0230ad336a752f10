"""Where rows come from: MP-20 and its sisters, your own CSV, or a folder of CIF files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flowllm.data.download import cache_dir, fetch_mp20
from flowllm.errors import InputError

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

ID_COLUMNS = ("material_id", "id")


@dataclass(frozen=True)
class Rows:
    """R rows of a source, before any structure is parsed.

    Attributes:
        ids: R names.
        cifs: R CIF texts; empty where the row holds none.
        properties: name -> (R,) float64 as in `flowllm.data.dataset.PROPERTIES`; NaN where the
            source is silent, for the space group 0.
        origin: the file or folder, for messages.
    """

    ids: list[str]
    cifs: list[str]
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    origin: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: np.ndarray | slice) -> Rows:
        """Some of the rows, by position."""
        chosen = np.arange(len(self))[index]
        return Rows(
            [self.ids[i] for i in chosen],
            [self.cifs[i] for i in chosen],
            {name: values[chosen] for name, values in self.properties.items()},
            self.origin,
        )


def load_rows(source: str | Path, split: str | None = None) -> Rows:
    """The rows of a named data set's split, of a CSV file or of a folder of CIF files.

    MP-20 is read from the folder that FLOWLLM_DATA_DIR names, else from the user's cache, else it
    is downloaded there and verified. MPTS-52 and Perov-5 come from FLOWLLM_DATA_DIR only.

    Args:
        source: "mp_20", "mpts_52", "perov_5", or a path to a CSV with a column `cif` (`.csv` or
            `.csv.gz`; id in `material_id` or `id`) or to a folder that holds `.cif` files.
        split: "train", "val" or "test" for a named data set; must be None for one's own.

    Raises:
        InputError: unknown source or split, a missing file, no column `cif`, or no rows.
    """
    if str(source) in SPLITS:
        return read_csv(named_file(str(source), split or "train"))
    path = Path(source)
    if split not in (None, "train"):
        raise InputError(f"{path} has no split {split}; your own data are one split, train")
    if path.is_dir():
        return read_cif_folder(path)
    if path.is_file():
        return read_csv(path)
    raise InputError(_unknown(source))


def source_digest(source: str | Path, split: str | None = None) -> str:
    """Short hex digest of the source's files; another one means other content.

    Raises:
        InputError: as `load_rows`, where a file is missing.
    """
    if str(source) in SPLITS:
        files = [named_file(str(source), split or "train")]
    else:
        files = cif_files(Path(source)) if Path(source).is_dir() else [Path(source)]
    digest = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except FileNotFoundError as error:
            raise InputError(_unknown(source)) from error
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}") from error
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def cif_files(folder: Path) -> list[Path]:
    """The `.cif` files below a folder, sorted by path.

    Raises:
        InputError: there is none.
    """
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() == ".cif" and f.is_file())
    if not files:
        raise InputError(f"{folder} holds no .cif files")
    return files


def _unknown(source: str | Path) -> str:
    return (
        f"no such data set: {source}; give a CSV file, a folder of CIF files, "
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
        raise InputError(f"{DATA_DIR} is {value}, which is no folder")
    return Path(value)


def is_at_hand(source: str | Path, split: str) -> bool:
    """Whether a split can be read without a download."""
    if str(source) not in SPLITS:
        return Path(source).exists()
    if split not in SPLITS[str(source)]:
        return False
    folders = [folder for folder in (data_dir(), cache_dir()) if folder is not None]
    names = (f"{split}.csv.gz", f"{split}.csv")
    return any((f / str(source) / name).is_file() for f in folders for name in names)


def named_file(source: str, split: str) -> Path:
    """The CSV file of a named data set's split, downloaded if it must be.

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


def read_csv(path: Path) -> Rows:
    """The rows of a CSV file with a column `cif`, gzipped or not.

    Raises:
        InputError: the file is no such table, is empty, or a property is not a number.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty") from error
    except (OSError, EOFError, ValueError, UnicodeError) as error:
        raise InputError(f"{path} is not a readable CSV file: {error}") from error
    if "cif" not in table:
        raise InputError(f"{path} has no column cif; its columns are {', '.join(table.columns)}")
    if not len(table):
        raise InputError(f"{path} holds no rows")
    named = next((c for c in ID_COLUMNS if c in table), None)
    ids = table[named].tolist() if named else [str(i) for i in range(len(table))]
    properties = {}
    for name, candidates in COLUMNS.items():
        column = next((c for c in candidates if c in table), None)
        if column is not None:
            properties[name] = _numbers(table[column].tolist(), path, column)
    if "space_group" in properties:
        properties["space_group"] = _space_groups(properties["space_group"], path)
    return Rows(ids, table["cif"].tolist(), properties, str(path))


def read_cif_folder(path: Path) -> Rows:
    """One row for each `.cif` file below a folder, sorted by path; the id is the path in it.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    files = cif_files(path)
    ids = [str(f.relative_to(path).with_suffix("")) for f in files]
    try:
        cifs = [f.read_text(encoding="utf-8", errors="replace") for f in files]
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from error
    return Rows(ids, cifs, {}, str(path))


def _numbers(values: list[str], path: Path, column: str) -> np.ndarray:
    """(R,) float64; empty cells are NaN, True and False 1 and 0."""
    words = {"": np.nan, "nan": np.nan, "none": np.nan, "null": np.nan, "true": 1.0, "false": 0.0}
    result = np.empty(len(values))
    for row, value in enumerate(values):
        word = value.strip().lower()
        try:
            result[row] = words[word] if word in words else float(word)
        except ValueError as error:
            raise InputError(
                f"{path}: column {column} holds {value!r} in row {row + 1}, not a number"
            ) from error
    return np.where(np.isfinite(result), result, np.nan)


def _space_groups(values: np.ndarray, path: Path) -> np.ndarray:
    known = np.nan_to_num(values)
    wrong = (known != np.round(known)) | (known < 0) | (known > 230)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{path}: {known[row]:g} in row {row + 1} is no space group number")
    return known
