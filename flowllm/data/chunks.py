"""One chunk of rows on its way through preparation: what a worker does, what a part file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.canonical import SYMPREC
from flowllm.data.dataset import CrystalSet
from flowllm.data.reduce import ReduceSettings, reduce_cif
from flowllm.data.sources import Rows
from flowllm.errors import InputError


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
    def name(self) -> str:
        """The part's name."""
        return f"{self.split}-{self.number:05d}"


@dataclass(frozen=True)
class PreparedChunk:
    """A chunk that is done.

    Attributes:
        kept: the prepared crystals.
        rejected: (row in the split, id, reason) of every other row.
    """

    kept: CrystalSet
    rejected: list[tuple[int, str, str]]

    def arrays(self) -> dict[str, np.ndarray]:
        """The part as arrays by name."""
        return {
            **self.kept.arrays(),
            "rejected_rows": np.array([row for row, _, _ in self.rejected], dtype=np.int64),
            "rejected_ids": np.array([name for _, name, _ in self.rejected], dtype=np.str_),
            "rejected_reasons": np.array([why for _, _, why in self.rejected], dtype=np.str_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PreparedChunk:
        """From what `arrays` gave.

        Raises:
            KeyError, ValueError: they are none of a part.
        """
        names = ("rejected_rows", "rejected_ids", "rejected_reasons")
        columns = (arrays[name].tolist() for name in names)
        return cls(CrystalSet.from_arrays(arrays), list(zip(*columns, strict=True)))


def prepare_chunk(chunk: Chunk) -> PreparedChunk:
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
    return PreparedChunk(CrystalSet(batch, columns, max_atoms=chunk.settings.max_atoms), rejected)


def space_group_number(crystal: CrystalBatch) -> int:
    """Number 1 to 230 of a batch of one, by spglib at 0.1 Å; 0 where spglib finds none."""
    import spglib

    cell: Any = (crystal.lattices[0], crystal.frac_coords, crystal.atomic_numbers)
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    except Exception:  # newer versions of spglib raise where older ones return None
        return 0
    return 0 if found is None else int(found.number)
