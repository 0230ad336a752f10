"""Crystals from any program, as read by every command: nothing is reduced or dropped.

Every input keeps its row, also one that cannot be read, so that denominators count it. What is
read, and what is said of it, is the same in every command (`flowllm.inputs.files.READ`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs.items import Listing, ReadCrystal, unique_names
from flowllm.inputs.limits import DEFAULT_LIMITS, ReadLimits
from flowllm.inputs.objects import python_listing
from flowllm.inputs.read import Reader, concatenated
from flowllm.inputs.remarks import USED, joined_remarks, summary
from flowllm.inputs.sources import list_source, list_sources
from flowllm.runs.identity import digest
from flowllm.runs.progress import ItemProgress

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

    Source = str | Path | CrystalBatch | Sequence[Structure | Atoms] | Sequence[Path]

__all__ = ["Inputs", "ReadLimits", "read_inputs"]

LARGE = 20  # atoms of the largest cells of MP-20, with which most figures are compared


@dataclass(frozen=True)
class Inputs:
    """R inputs, B of them readable.

    Attributes:
        crystals: the B readable crystals in their given cells, with the ids of their rows.
        ids: (R,) str, all different.
        places: (R,) str, file and place in it, for messages.
        readable: (R,) bool.
        reasons: (R,) str, why an input cannot be read; empty where it can.
        remarks: (R,) str, what else is to be said, separated by semicolons: what was assumed in
            reading, a second use of an id, more than 20 atoms.
        position: (R,) int64, place of the row in `crystals`; -1 where it cannot be read.
        oversized: (R,) bool, more than 20 atoms in the given cell.
        prompts: (R,) str, what the crystal was drawn from; empty where that is not known.
        rejected: samples that the run itself rejected and that have no row.
        notes: messages on the whole.
        digest: short hash of the rows and the crystals.
        content: short hash of the files' names and contents; of crystals in memory that of none.
        origin: where they come from, for messages.
    """

    crystals: CrystalBatch
    ids: np.ndarray
    places: np.ndarray
    readable: np.ndarray
    reasons: np.ndarray
    remarks: np.ndarray
    position: np.ndarray
    oversized: np.ndarray
    prompts: np.ndarray
    rejected: int
    notes: tuple[str, ...]
    digest: str
    content: str
    origin: str

    def __len__(self) -> int:
        """The number of inputs, R."""
        return len(self.ids)

    @property
    def remark_summary(self) -> str:
        """All remarks counted, as in "3 remarks: 2 × D read as H, 1 × …"; empty if none."""
        return summary(self.remarks.tolist())


def read_inputs(
    source: Source,
    *,
    ids: Sequence[str] | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
    limits: ReadLimits = DEFAULT_LIMITS,
    large: int | None = LARGE,
    primitive: bool = False,
) -> Inputs:
    """Read crystals from any program.

    Args:
        source: a file of any kind in `flowllm.inputs.files.READ`, a folder that holds such files at
            any depth, the folder of a run of ours, or several of these; or a batch, pymatgen
            structures or ASE atoms.
        ids: one for each input; default the source's own, or its place.
        executor: any `concurrent.futures` executor for parsing text.
        workers: processes without an executor; default all cores, and one for few texts.
        progress: called as progress(done, total) while text is parsed.
        limits: of time, size and atoms.
        large: a cell of more atoms is remarked on; None for no such remark.
        primitive: give crystals of CIF files, which may stand there in conventional cells, in their
            primitive ones.

    Raises:
        InputError: the source is missing, contains no crystals, or is not of a supported kind. A
            single crystal that cannot be read is not an error but a row.
    """
    reader = Reader(executor, workers, progress, limits, primitive)
    if isinstance(source, (str, Path)):
        found, origin = list_source(source, limits), str(source)
    elif isinstance(source, (list, tuple)) and any(isinstance(s, Path) for s in source):
        found, origin = list_sources(source, limits), ", ".join(map(str, source[:3]))
    else:
        found, origin = python_listing(source, limits.atoms), "crystals in memory"
    if not found.items:
        raise InputError(f"{origin}: no crystals in it")
    if ids is not None and len(ids) != len(found.items):
        raise InputError(f"{len(ids)} ids for {len(found.items)} crystals")
    names = [item.name for item in found.items] if ids is None else [str(name) for name in ids]
    return _finish(found, names, reader.parse(found.items), origin, large)


def _finish(
    found: Listing,
    names: list[str],
    read: list[ReadCrystal | str],
    origin: str,
    large: int | None,
) -> Inputs:
    ids, again = unique_names(names)
    reasons = np.array([one if isinstance(one, str) else "" for one in read], dtype=np.str_)
    readable = reasons == ""
    position = np.where(readable, np.cumsum(readable) - 1, -1)
    crystals = concatenated([one for one in read if isinstance(one, ReadCrystal)])
    crystals = crystals.replace(ids=np.array(ids, dtype=np.str_)[readable])
    sizes = np.zeros(len(ids), dtype=np.int64)
    sizes[readable] = crystals.num_atoms
    oversized = sizes > LARGE
    notes = list(found.notes)
    if again:
        first = next(iter(again.values()))
        notes.append(f"{len(again)} inputs share their id with an earlier one, as {first}: renamed")
    if large is not None and (sizes > large).any():
        notes.append(f"{(sizes > large).sum()} crystals have more than {large} atoms")
    remarks = []
    for row, (item, one) in enumerate(zip(found.items, read, strict=True)):
        said = [f"the id {again[row]} {USED}"] if row in again else []
        said += [*item.remarks, *(one.remarks if isinstance(one, ReadCrystal) else ())]
        if large is not None and sizes[row] > large:
            said.append(f"{sizes[row]} atoms, more than {large}")
        remarks.append(joined_remarks(said))
    prompts = found.prompts if found.prompts is not None else [""] * len(ids)
    content = [np.ascontiguousarray(value).tobytes() for value in crystals.arrays().values()]
    rows = "\n".join([*ids, *reasons.tolist(), *prompts, str(found.rejected)])
    return Inputs(
        crystals=crystals,
        ids=np.array(ids, dtype=np.str_),
        places=np.array([item.place for item in found.items], dtype=np.str_),
        readable=readable,
        reasons=reasons,
        remarks=np.array(remarks, dtype=np.str_),
        position=position.astype(np.int64),
        oversized=oversized,
        prompts=np.array(prompts, dtype=np.str_),
        rejected=found.rejected,
        notes=tuple(notes),
        digest=digest(rows, *content),
        content=found.digest,
        origin=origin,
    )
