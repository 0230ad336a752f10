"""Crystals of any program as the input of an evaluation: nothing is reduced, nothing is dropped.

Every input keeps its row, also one that cannot be read, so that denominators count it. Read are
folders of CIF files, CIF, extended XYZ, CSV with a column `cif`, `.npz` (ours, or arrays named as
DiffCSP, FlowMM and others name them), and the folders of `flowllm generate` and `flowllm refine`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs.arrays import read_npz
from flowllm.inputs.cif import read_cif, read_folder
from flowllm.inputs.objects import from_python
from flowllm.inputs.rows import InputRows, Reader, is_run
from flowllm.inputs.runs import read_run
from flowllm.inputs.tables import read_csv, read_xyz
from flowllm.runs.identity import digest
from flowllm.runs.progress import ItemProgress

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

    Source = str | Path | CrystalBatch | Sequence[Structure | Atoms]

__all__ = ["Inputs", "read_inputs"]

LARGE = 20  # atoms of the largest cells of MP-20, with which most figures are compared

_READERS: dict[str, Callable[[Path, Reader], InputRows]] = {
    ".cif": read_cif,
    ".xyz": read_xyz,
    ".extxyz": read_xyz,
    ".csv": read_csv,
    ".npz": read_npz,
}


@dataclass(frozen=True)
class Inputs:
    """R inputs, B of them readable.

    Attributes:
        crystals: the B readable crystals in their given cells, with the ids of their rows.
        ids: (R,) str, all different.
        readable: (R,) bool.
        reasons: (R,) str, why an input cannot be read; empty where it can.
        remarks: (R,) str, what else is to be said: a second use of an id, more than 20 atoms.
        position: (R,) int64, place of the row in `crystals`; -1 where it cannot be read.
        oversized: (R,) bool, more than 20 atoms in the given cell.
        prompts: (R,) str, what the crystal was drawn from; empty where that is not known.
        rejected: samples that the run itself rejected and that have no row.
        notes: messages on the whole.
        digest: short hash of the rows and the crystals.
        origin: where they come from, for messages.
    """

    crystals: CrystalBatch
    ids: np.ndarray
    readable: np.ndarray
    reasons: np.ndarray
    remarks: np.ndarray
    position: np.ndarray
    oversized: np.ndarray
    prompts: np.ndarray
    rejected: int
    notes: tuple[str, ...]
    digest: str
    origin: str

    def __len__(self) -> int:
        """The number of inputs, R."""
        return len(self.ids)


def read_inputs(
    source: Source,
    *,
    ids: Sequence[str] | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
) -> Inputs:
    """Read crystals of any program.

    Args:
        source: a folder that holds `.cif` files at any depth; a `.cif`, `.xyz`, `.extxyz`, `.csv`
            (column `cif`; ids in `material_id` or `id`) or `.npz` file, text files also gzipped;
            the folder of a run of ours; or a batch, pymatgen structures or ASE atoms.
        ids: one for each input; default the source's own, or its place.
        executor: any `concurrent.futures` executor for parsing text.
        workers: processes without an executor; default all cores, and one for few texts.
        progress: called as progress(done, total) while text is parsed.

    Raises:
        InputError: the source is missing, holds no crystals, or is not of a kind that can be read.
            A single crystal that cannot be read is no error but a row.
    """
    reader = Reader(executor, workers, progress)
    if isinstance(source, (str, Path)):
        found, origin = _from_path(Path(source), reader), str(source)
    else:
        found, origin = from_python(source), "crystals in memory"
    if ids is not None:
        if len(ids) != len(found.names):
            raise InputError(f"{len(ids)} ids for {len(found.names)} crystals")
        found.names = [str(name) for name in ids]
    return _finish(found, origin)


def _from_path(path: Path, reader: Reader) -> InputRows:
    if path.is_dir():
        return read_run(path, reader) if is_run(path) else read_folder(path, reader)
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    read = _READERS.get(plain.suffix.lower())
    if read is None:
        raise InputError(f"{path} is of no kind that can be read ({', '.join(_READERS)})")
    return read(path, reader)


def _finish(found: InputRows, origin: str) -> Inputs:
    if not found.names:
        raise InputError(f"{origin}: no crystals in it")
    ids, again = _unique(found.names)
    reasons = np.array(found.reasons, dtype=np.str_)
    readable = reasons == ""
    position = np.where(readable, np.cumsum(readable) - 1, -1)
    crystals = found.crystals.replace(ids=np.array(ids, dtype=np.str_)[readable])
    sizes = np.zeros(len(ids), dtype=np.int64)
    sizes[readable] = crystals.num_atoms
    oversized = sizes > LARGE
    notes = list(found.notes)
    if again:
        first = next(iter(again.values()))
        notes.append(f"{len(again)} inputs share their id with an earlier one, as {first}: renamed")
    if oversized.any():
        notes.append(f"{oversized.sum()} crystals have more than {LARGE} atoms")
    remarks = [""] * len(ids)
    for row in np.flatnonzero(oversized):
        remarks[row] = f"{sizes[row]} atoms, more than {LARGE}"
    for row, name in again.items():
        remarks[row] = "; ".join(filter(None, [f"the id {name} is used before", remarks[row]]))
    prompts = found.prompts if found.prompts is not None else [""] * len(ids)
    content = [np.ascontiguousarray(getattr(crystals, f.name)).tobytes() for f in fields(crystals)]
    rows = "\n".join([*ids, *reasons.tolist(), *prompts, str(found.rejected)])
    return Inputs(
        crystals=crystals,
        ids=np.array(ids, dtype=np.str_),
        readable=readable,
        reasons=reasons,
        remarks=np.array(remarks, dtype=np.str_),
        position=position.astype(np.int64),
        oversized=oversized,
        prompts=np.array(prompts, dtype=np.str_),
        rejected=found.rejected,
        notes=tuple(notes),
        digest=digest(rows, *content),
        origin=origin,
    )


def _unique(names: Sequence[str]) -> tuple[list[str], dict[int, str]]:
    """Ids that are all different, and row -> name of those that had to be changed.

    A second `a` becomes `a-2`, or the next number that no other input uses.
    """
    names = [name.strip() or str(row) for row, name in enumerate(names)]
    taken, seen, ids = set(names), set[str](), []
    again: dict[int, str] = {}
    following: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in seen:
            again[row] = name
            number = following.get(name, 2)
            while f"{name}-{number}" in taken:
                number += 1
            following[name] = number + 1
            name = f"{name}-{number}"
            taken.add(name)
        seen.add(name)
        ids.append(name)
    return ids, again
