"""Types shared by the readers: crystals to be read, read crystals, and lists of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.crystals.cif import CifSite
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.inputs.limits import shown

NAME = "crystal"  # the id of a crystal until ids are made unique
FLAT = 1e-12  # a cell whose volume is a smaller part of a * b * c spans none
ISOTOPES = {"D": "deuterium", "T": "tritium"}


@dataclass(frozen=True)
class ReadCrystal:
    """A crystal that was read.

    Attributes:
        crystal: a batch of one.
        remarks: what else is to be said of it.
        sites: the sites of its file; empty where each atom is one.
    """

    crystal: CrystalBatch
    remarks: tuple[str, ...] = ()
    sites: tuple[CifSite, ...] = ()


@dataclass(frozen=True)
class Item:
    """One crystal of a source, which may still be text.

    Attributes:
        name: its id in the source; empty where it has none.
        place: where it stands, for messages.
        kind: of the text: "cif", "block" (a single one), "xyz", "poscar", "json", "unknown".
        text: the text; empty where it was read already.
        done: a batch and the crystal's position in it, where it was read already.
        reason: why it cannot be read; empty where it can, as far as is known.
        remarks: what is to be said of it.
    """

    name: str
    place: str
    kind: str = "unknown"
    text: str = ""
    done: tuple[CrystalBatch, int] | None = None
    reason: str = ""
    remarks: tuple[str, ...] = ()


@dataclass
class Listing:
    """The crystals of a source, before their texts are parsed.

    Attributes:
        items: R crystals.
        prompts: R prompts, or None.
        columns: name in small letters -> R cells of a table, "" for crystals of no table.
        ambiguous: name -> message, for columns whose names differ in case only.
        rejected: samples that a run itself rejected.
        notes: messages on the whole.
        hashes: (name, hash of its content) of the files that were read.
    """

    items: list[Item] = field(default_factory=list)
    prompts: list[str] | None = None
    columns: dict[str, list[str]] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    rejected: int = 0
    notes: list[str] = field(default_factory=list)
    hashes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """A short hash of the files' names and contents."""
        total = hashlib.sha256()
        for name, content in self.hashes:
            total.update(f"{name} {content}\n".encode(errors="replace"))
        return total.hexdigest()[:16]

    def named(self, stem: str) -> Listing:
        """The same with names for unnamed crystals: the file's, numbered if several."""
        alone = len(self.items) == 1
        self.items = [
            item if item.name.strip() else replace(item, name=stem if alone else f"{stem}-{place}")
            for place, item in enumerate(self.items)
        ]
        return self


def joined(listings: Iterable[Listing]) -> Listing:
    """Join several listings, in order."""
    parts = list(listings)
    if len(parts) == 1:
        return parts[0]
    whole = Listing()
    for part in parts:
        whole.items += part.items
        whole.ambiguous |= part.ambiguous
        whole.rejected += part.rejected
        whole.notes += [note for note in part.notes if note not in whole.notes]
        whole.hashes += part.hashes
    for name in dict.fromkeys(name for part in parts for name in part.columns):
        empty = [[""] * len(part.items) for part in parts]
        cells = [part.columns.get(name, e) for part, e in zip(parts, empty, strict=True)]
        whole.columns[name] = [cell for part_cells in cells for cell in part_cells]
    if any(part.prompts is not None for part in parts):
        whole.prompts = [
            prompt for part in parts for prompt in part.prompts or [""] * len(part.items)
        ]
    return whole


def isotope_remark(symbol: str) -> str:
    """The remark that an isotope of hydrogen is read as H."""
    return f"{symbol} is {ISOTOPES[symbol]}, read as H"


def element_number(symbol: str) -> tuple[int, tuple[str, ...]]:
    """The atomic number of a symbol, and a remark where it is an isotope's.

    Raises:
        InputError: it is not an element's symbol.
    """
    if symbol in ISOTOPES and symbol not in NUMBER_OF:
        return NUMBER_OF["H"], (isotope_remark(symbol),)
    if symbol in ("X", "Xx"):
        raise InputError("an atom's type is open (X)")
    if symbol not in NUMBER_OF:
        right = symbol.capitalize()
        hint = f"; did you mean {right}?" if right in NUMBER_OF else ""
        raise InputError(f"{shown(symbol, 20)!r} is not an element{hint}")
    return NUMBER_OF[symbol], ()


def crystal_from_lattice(
    numbers: np.ndarray,
    lattice: np.ndarray,
    frac: np.ndarray | None = None,
    positions: np.ndarray | None = None,
) -> CrystalBatch:
    """A batch of one from fractional coordinates or positions in Å.

    Lengths and angles cannot tell a left-handed cell from its mirror image, so such a cell is
    turned round, vectors and coordinates together: the same crystal in a right-handed one.

    Args:
        numbers: (n,) atomic numbers.
        lattice: (3, 3) in Å, rows are the vectors.
        frac: (n, 3) fractional coordinates.
        positions: or (n, 3) positions in Å.

    Raises:
        InputError: no atoms, a value that is not finite, or a cell without volume.
    """
    if not len(numbers):
        raise InputError("no atoms")
    lattice = np.asarray(lattice, dtype=np.float64)
    if not np.isfinite(lattice).all():
        raise InputError("the cell is not finite")
    if np.abs(lattice).max() > 1e6:
        raise InputError("the cell is longer than 1e6 Å")
    determinant = float(np.linalg.det(lattice))
    if not abs(determinant) > FLAT * np.prod(np.linalg.norm(lattice, axis=1)):
        raise InputError("no cell, or one of zero volume")
    if frac is None:
        positions = np.asarray(positions, dtype=np.float64)
        if not np.isfinite(positions).all():
            raise InputError("a coordinate is not finite")
        frac = np.linalg.solve(lattice.T, positions.T).T
    if not np.isfinite(frac).all():
        raise InputError("a coordinate is not finite")
    lengths, angles = cell_parameters(lattice)
    frac = frac if determinant > 0 else -np.asarray(frac)
    count, name = np.array([len(numbers)]), np.array([NAME])
    return CrystalBatch(numbers, frac, lengths, angles, count, name)


def unique_names(names: Sequence[str]) -> tuple[list[str], dict[int, str]]:
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
