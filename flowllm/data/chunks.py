"""One chunk of rows on its way through preparation: what a worker does, what a part file holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.canonical import SYMPREC
from flowllm.data.dataset import CrystalSet
from flowllm.data.reduce import ReduceSettings, reduce_cif
from flowllm.data.sources import Rows
from flowllm.errors import InputError
from flowllm.runs.files import atomic_write


@dataclass(frozen=True)
class Chunk:
    """Neighbouring rows of one split, as a worker gets them.

    Attributes:
        split: name of the split.
        number: place of the chunk in its split, from 0.
        start: place of its first row in its split, from 0.
        rows: the rows.
        settings: how structures are made unique.
    """

    split: str
    number: int
    start: int
    rows: Rows
    settings: ReduceSettings

    @property
    def file_name(self) -> str:
        """The part file's name."""
        return f"{self.split}-{self.number:05d}.npz"


@dataclass(frozen=True)
class Part:
    """A chunk that is done.

    Attributes:
        kept: the prepared crystals.
        rejected: (row in the split, id, reason) of every other row.
    """

    kept: CrystalSet
    rejected: list[tuple[int, str, str]]

    def save(self, path: Path) -> None:
        """Write the part as one file, whole or not at all."""
        arrays: dict[str, Any] = {
            "rejected_rows": np.array([row for row, _, _ in self.rejected], dtype=np.int64),
            "rejected_ids": np.array([name for _, name, _ in self.rejected], dtype=np.str_),
            "rejected_reasons": np.array([why for _, _, why in self.rejected], dtype=np.str_),
        }
        atomic_write(path, lambda handle: np.savez(handle, **self.kept.arrays(), **arrays))

    @classmethod
    def load(cls, path: Path) -> Part:
        """Read what `save` wrote.

        Raises:
            InputError: missing or corrupt.
        """
        kept = CrystalSet.load(path)
        with np.load(path, allow_pickle=False) as archive:
            names = ("rejected_rows", "rejected_ids", "rejected_reasons")
            columns = (archive[name].tolist() for name in names)
            return cls(kept, list(zip(*columns, strict=True)))


def prepare_chunk(chunk: Chunk) -> Part:
    """Reduce every structure of a chunk and find the space groups that are not known."""
    crystals, places, rejected = [], [], []
    for place, (name, cif) in enumerate(zip(chunk.rows.ids, chunk.rows.cifs, strict=True)):
        try:
            if not cif.strip():
                raise InputError("no CIF text")
            crystals.append(reduce_cif(cif, name, chunk.settings))
            places.append(place)
        except InputError as error:
            rejected.append((chunk.start + place, name, str(error).removeprefix(f"{name}: ")))
        except Exception as error:  # one strange row must not stop the other 44,108
            reason = f"{type(error).__name__}: {error}"
            rejected.append((chunk.start + place, name, reason))
    batch = CrystalBatch.concatenate(crystals)
    chosen = np.array(places, dtype=np.int64)
    properties = {name: values[chosen] for name, values in chunk.rows.properties.items()}
    groups = properties.get("space_group", np.zeros(len(batch))).copy()
    for index in np.flatnonzero(groups == 0):
        groups[index] = space_group_number(batch[index])
    columns = {**properties, "space_group": groups}
    return Part(CrystalSet(batch, columns, max_atoms=chunk.settings.max_atoms), rejected)


def space_group_number(crystal: CrystalBatch) -> int:
    """Number 1 to 230 of a batch of one, by spglib at 0.1 Å; 0 where spglib finds none."""
    import spglib

    cell: Any = (crystal.lattices[0], crystal.frac_coords, crystal.atomic_numbers)
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    except Exception:  # newer versions of spglib raise where older ones return None
        return 0
    return 0 if found is None else int(found.number)
