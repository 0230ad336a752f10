"""One chunk of rows in preparation: the work of a process and the content of its part file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.canonical import SYMPREC
from flowllm.crystals.cif import OVERLAP
from flowllm.crystals.distances import shortest_distances
from flowllm.data.dataset import CrystalSet
from flowllm.data.reduce import ReduceSettings, reduce_crystal
from flowllm.data.sources import Rows
from flowllm.errors import InputError, first_line
from flowllm.inputs.limits import DEFAULT_LIMITS
from flowllm.inputs.read import read_item
from flowllm.inputs.remarks import joined_remarks
from flowllm.parallel.time_limit import TimeLimitError, time_limit


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one split, as passed to a worker.

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
        remarks: (row in the split, id, remarks) of the rows of which more is to be said.
    """

    kept: CrystalSet
    rejected: list[tuple[int, str, str]]
    remarks: list[tuple[int, str, str]] = field(default_factory=list)

    def arrays(self) -> dict[str, np.ndarray]:
        """The part as arrays by name."""
        return {
            **self.kept.arrays(),
            **_columns("rejected", self.rejected),
            **_columns("remarked", self.remarks),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PreparedChunk:
        """Inverse of `arrays`.

        Raises:
            KeyError, ValueError: they are none of a part.
        """
        tables = [
            list(zip(*(arrays[f"{kind}_{name}"].tolist() for name in _COLUMNS), strict=True))
            for kind in ("rejected", "remarked")
        ]
        return cls(CrystalSet.from_arrays(arrays), *tables)


_COLUMNS = ("rows", "ids", "texts")


def _columns(kind: str, rows: list[tuple[int, str, str]]) -> dict[str, np.ndarray]:
    """Rows (place, id, text) as arrays of a part."""
    types = (np.int64, np.str_, np.str_)
    return {
        f"{kind}_{name}": np.array([row[place] for row in rows], dtype=types[place])
        for place, name in enumerate(_COLUMNS)
    }


def prepare_chunk(chunk: Chunk) -> PreparedChunk:
    """Reduce every structure of a chunk and find the space groups that are not known.

    Crystals whose atoms lie on each other (closer than `OVERLAP`) are none to learn from.
    """
    crystals, places, rejected, remarked = [], [], [], []
    for place, (name, item) in enumerate(zip(chunk.rows.ids, chunk.rows.items, strict=True)):
        row = chunk.start + place
        try:
            read = read_item(item)
            said = joined_remarks([*item.remarks, *read.remarks])
            if said:
                remarked.append((row, name, said))
            crystals.append(_reduced(read.crystal, name, chunk.settings))
            places.append(place)
        except InputError as error:
            rejected.append((row, name, str(error).removeprefix(f"{name}: ")))
        except Exception as error:  # one strange row must not stop the other 44,108
            rejected.append((row, name, f"it cannot be reduced: {first_line(error)}"))
    batch = CrystalBatch.concatenate(crystals)
    nearest = shortest_distances(batch, OVERLAP)
    sound = ~(nearest < OVERLAP)
    for index in np.flatnonzero(~sound):
        reason = f"atoms closer than {OVERLAP} Å ({nearest[index]:.2f} Å)"
        rejected.append((chunk.start + places[index], str(batch.ids[index]), reason))
    batch, chosen = batch[sound], np.array(places, dtype=np.int64)[sound]
    properties = {name: values[chosen] for name, values in chunk.rows.properties.items()}
    groups = properties.get("space_group", np.zeros(len(batch))).copy()
    for index in np.flatnonzero(groups == 0):
        groups[index] = space_group_number(batch[index])
    columns = {**properties, "space_group": groups}
    kept = CrystalSet(batch, columns, max_atoms=chunk.settings.max_atoms)
    return PreparedChunk(kept, sorted(rejected), remarked)


def _reduced(crystal: CrystalBatch, name: str, settings: ReduceSettings) -> CrystalBatch:
    """The crystal as stored in the data.

    Raises:
        InputError: it cannot be reduced, or not in time.
    """
    try:
        with time_limit(DEFAULT_LIMITS.seconds):
            return reduce_crystal(crystal, name, settings)
    except TimeLimitError as error:
        raise InputError(f"reducing {error}") from error


def space_group_number(crystal: CrystalBatch) -> int:
    """Number 1 to 230 of a batch of one, by spglib at 0.1 Å; 0 where spglib finds none."""
    import spglib

    cell: Any = (crystal.lattices[0], crystal.frac_coords, crystal.atomic_numbers)
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    except Exception:  # newer versions of spglib raise where older ones return None
        return 0
    return 0 if found is None else int(found.number)
