"""References for comparison with generated crystals: data sets as compact arrays.

A reference is a folder. The one of MP-20 ships with the package; `build` makes one of any prepared
data set, such as one's own (`flowllm reference --data runs/mine --out runs/mine-reference`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.data.shipped import CRYSTALS, DUPLICATES
from flowllm.errors import InputError
from flowllm.metrics.coverage import CompositionScaler
from flowllm.metrics.fingerprints import Fingerprints
from flowllm.metrics.symmetry import SYMPREC
from flowllm.runs.archive import open_archive
from flowllm.runs.files import read_json
from flowllm.runs.json_object import JsonObject

if TYPE_CHECKING:
    from flowllm.crystals.batch import CrystalBatch
    from flowllm.stability import HullTable

FORMAT = 1
RECORD, PRINTS, SCALER, VALUES = "reference.json", "test.npz", "scaler.json", "values.npz"
COLUMNS = {"density": "f", "n_elements": "iu", "space_groups": "iu"}  # and their values' kinds
LATER_COLUMNS = {"space_groups_fine": "iu"}  # which references of earlier versions lack
HULL = "hull.npz"
SHIPPED = "flowllm.reference"


@dataclass(frozen=True)
class Reference:
    """A data set to compare with.

    Attributes:
        folder: where its files lie.
        record: name, splits with their sizes, what the training split scores (`floor`), the data's
            distributions (`bins`), where the structures themselves can be had (`source`).
    """

    folder: Path
    record: dict[str, Any]

    @classmethod
    def load(cls, source: str | Path) -> Reference:
        """By the name of one that ships with the package, or from a folder.

        Raises:
            InputError: there is none, it is damaged, or of another version.
        """
        folder = Path(source)
        if not folder.is_dir():
            folder = Path(str(files(SHIPPED))) / str(source)
        if not (folder / RECORD).is_file():
            raise InputError(
                f"unknown reference {str(source)!r}; choose from {', '.join(shipped())}, and the "
                "folders "
                "that `flowllm reference` writes"
            )
        record = read_json(folder / RECORD)
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            found = record.get("format") if isinstance(record, dict) else None
            raise InputError(
                f"{folder} is a reference of version {found}, but this package reads {FORMAT}; "
                "rebuild it with `flowllm reference`"
            )
        kinds = {"name": str, "version": str, "splits": dict}
        more = {"floor": dict, "bins": dict, "source": str}  # which may be missing
        if not all(isinstance(record.get(name), kind) for name, kind in kinds.items()) or not all(
            isinstance(record.get(name, kind()), kind) for name, kind in more.items()
        ):
            raise InputError(f"{folder / RECORD} is damaged; rebuild the reference")
        reference = cls(folder, record)
        reference.fingerprints()  # a damaged file shall be noticed before hours are spent
        return reference

    @property
    def name(self) -> str:
        """As in "MP-20"."""
        return str(self.record["name"])

    @property
    def version(self) -> str:
        """A short hash of what it was built from."""
        return str(self.record["version"])

    @property
    def floor(self) -> dict[str, float]:
        """Figure -> what a sample of the training split scores."""
        return dict(self.record.get("floor", {}))

    @property
    def bins(self) -> dict[str, list[float]]:
        """Column -> share of the test split in each bin."""
        return dict(self.record.get("bins", {}))

    def describe(self, split: str) -> str:
        """As in "MP-20 test (recovered, 8,879 of 9,046)"."""
        return str(self.record["splits"].get(split, f"{self.name} {split}"))

    def fingerprints(self) -> Fingerprints:
        """Of the test split."""
        return self._prints

    def scaler(self) -> CompositionScaler:
        """Of compositional fingerprints, fitted to the training split."""
        return CompositionScaler.load(self.folder / SCALER)

    def values(self, column: str) -> np.ndarray:
        """(R,) density in g/cm³ or number of elements of the test split."""
        return self._values[column].astype(float)

    def space_groups(self, symprec: float = SYMPREC) -> np.ndarray | None:
        """(R,) int64 space-group numbers of the test split, 0 where there is none.

        Args:
            symprec: Å; the tolerance 0.1 of the data themselves, or 0.01.

        Returns:
            None where the reference has none at 0.01, as those of earlier versions.
        """
        column = "space_groups" if symprec == SYMPREC else "space_groups_fine"
        return self._values[column].astype(np.int64) if column in self._values else None

    def is_in_training(self, ids: np.ndarray) -> np.ndarray | None:
        """(B,) bool: which test crystals, by their ids, match a training crystal.

        Returns:
            None where that was never looked for, as in a reference of one's own.
        """
        file = self.folder / DUPLICATES
        if not file.is_file():
            return None
        known = JsonObject.read(file).record("test")
        return np.array([str(name) in known for name in ids], dtype=bool)

    def hull(self) -> HullTable | None:
        """The convex hull; None if the reference has none."""
        from flowllm.stability import HullTable

        file = self.folder / HULL
        return HullTable.load(file) if file.is_file() else None

    def crystals(self, split: str, workers: int | None = None) -> CrystalBatch | None:
        """The structures of a split; None if neither the reference nor a data folder has them.

        Nothing is downloaded for them. A reference that was built before references held their
        structures has them in its source only.

        Args:
            split: its name.
            workers: processes that prepare the source, the first time.

        Raises:
            InputError: the reference's file is damaged.
        """
        from flowllm.data import load_dataset
        from flowllm.data.compact import read_split, splits_in
        from flowllm.data.sources import is_at_hand

        file = self.folder / CRYSTALS
        if file.is_file() and split in splits_in(file):
            return read_split(file, split).crystals
        source = self.record.get("source", "")
        if not is_at_hand(source, split):
            return None
        return load_dataset(source, split, workers=workers).crystals

    @cached_property
    def _prints(self) -> Fingerprints:
        return Fingerprints.load(self.folder / PRINTS)

    @cached_property
    def _values(self) -> dict[str, np.ndarray]:
        file = self.folder / VALUES
        with open_archive(file, "is damaged") as archive:
            columns = {**COLUMNS, **{n: k for n, k in LATER_COLUMNS.items() if n in archive}}
            return {name: archive.typed(name, kinds) for name, kinds in columns.items()}


def shipped() -> list[str]:
    """Names of the references that ship with the package."""
    room = Path(str(files(SHIPPED)))
    return sorted(folder.name for folder in room.iterdir() if (folder / RECORD).is_file())
