"""The arrays of a batch of crystals: checked, indexed, joined, padded, hashed, kept in files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from flowllm.crystals.cells import (
    cell_volumes,
    concatenated_ranges,
    lattice_matrices,
    wrap,
)
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive
from flowllm.runs.identity import digest


def whole_numbers(values: Any, name: str) -> np.ndarray:
    """Values as int64.

    Raises:
        InputError: one is not a whole number, or does not fit.
    """
    given = np.asarray(values)
    if given.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = given.astype(np.int64)
        if not (whole == given).all():
            raise InputError(f"{name} holds a value that is not a whole number")
        return whole
    return given.astype(np.int64)


@dataclass(frozen=True)
class CrystalArrays:
    """A `flowllm.crystals.batch.CrystalBatch`, which documents shapes, without its conversions."""

    atomic_numbers: np.ndarray
    frac_coords: np.ndarray
    lengths: np.ndarray
    angles: np.ndarray
    num_atoms: np.ndarray
    ids: np.ndarray

    def __post_init__(self) -> None:
        cast = {
            "atomic_numbers": whole_numbers(self.atomic_numbers, "atomic_numbers").reshape(-1),
            "frac_coords": wrap(np.asarray(self.frac_coords, dtype=np.float64).reshape(-1, 3)),
            "lengths": np.asarray(self.lengths, dtype=np.float64).reshape(-1, 3),
            "angles": np.asarray(self.angles, dtype=np.float64).reshape(-1, 3),
            "num_atoms": whole_numbers(self.num_atoms, "num_atoms").reshape(-1),
            "ids": np.asarray(self.ids, dtype=np.str_).reshape(-1),
        }
        for name, value in cast.items():
            object.__setattr__(self, name, value)
        size, atoms = len(self.num_atoms), sum(self.num_atoms.tolist())  # which cannot overflow
        if (self.num_atoms < 0).any():
            raise InputError("num_atoms holds a negative number")
        if not len(self.lengths) == len(self.angles) == len(self.ids) == size:
            raise InputError(
                f"a batch of {size} crystals has {len(self.lengths)} rows of lengths, "
                f"{len(self.angles)} of angles and {len(self.ids)} ids"
            )
        if len(self.atomic_numbers) != atoms or len(self.frac_coords) != atoms:
            raise InputError(
                f"num_atoms adds up to {atoms}, but there are {len(self.atomic_numbers)} types "
                f"and {len(self.frac_coords)} coordinates"
            )
        for name in ("frac_coords", "lengths", "angles"):
            if not np.isfinite(cast[name]).all():
                raise InputError(f"{name} holds a value that is not finite")

    # ---- as a collection -------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.num_atoms)

    def __iter__(self) -> Iterator[Self]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Self:
        """Crystals by position, slice, list of positions or boolean mask, as a batch."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        starts = self.offsets[chosen]
        atoms = concatenated_ranges(starts, self.num_atoms[chosen])
        return type(self)(
            self.atomic_numbers[atoms],
            self.frac_coords[atoms],
            self.lengths[chosen],
            self.angles[chosen],
            self.num_atoms[chosen],
            self.ids[chosen],
        )

    @classmethod
    def concatenate(cls, batches: Iterable[Self]) -> Self:
        """Concatenate batches in order; none give the empty batch."""
        parts = list(batches)
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    @classmethod
    def empty(cls) -> Self:
        """The batch of no crystals."""
        return cls(*(np.zeros(0) for _ in fields(cls)))

    # ---- derived quantities ----------------------------------------------------------------

    @property
    def offsets(self) -> np.ndarray:
        """(B,) int64: the first atom of each crystal."""
        return np.concatenate([[0], np.cumsum(self.num_atoms)[:-1]]).astype(np.int64)[: len(self)]

    @property
    def crystal_of_atom(self) -> np.ndarray:
        """(N,) int64: the crystal that each atom belongs to."""
        return np.repeat(np.arange(len(self)), self.num_atoms)

    @property
    def lattices(self) -> np.ndarray:
        """(B, 3, 3) lattice matrices in Å, rows are the cell vectors (pymatgen's convention)."""
        return lattice_matrices(self.lengths, self.angles)

    @property
    def volumes(self) -> np.ndarray:
        """(B,) cell volumes in Å^3; 0 where the three angles give no volume."""
        return cell_volumes(self.lengths, self.angles)

    @property
    def compositions(self) -> list[dict[str, int]]:
        """Per crystal {element: atoms in the cell}, elements in the order in which they appear."""
        split = np.split(self.atomic_numbers, np.cumsum(self.num_atoms)[:-1]) if len(self) else []
        result = []
        for numbers in split:
            counts: dict[str, int] = {}
            for number in numbers:
                counts[SYMBOLS[number]] = counts.get(SYMBOLS[number], 0) + 1
            result.append(counts)
        return result

    @property
    def formulas(self) -> list[str]:
        """Reduced formulas by pymatgen's convention, as in SrTiO3; an open species is X."""
        from pymatgen.core import Composition

        return [Composition(c).reduced_formula for c in self.compositions]

    def padded(self, size: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Types (B, S) int64, coordinates (B, S, 3) and mask (B, S) bool, padded with zeros."""
        width = size or int(self.num_atoms.max(initial=0))
        mask = np.arange(width)[None, :] < self.num_atoms[:, None]
        types = np.zeros(mask.shape, dtype=np.int64)
        coords = np.zeros((*mask.shape, 3))
        types[mask], coords[mask] = self.atomic_numbers, self.frac_coords
        return types, coords, mask

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields replaced."""
        return type(self)(
            **{f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)}
        )

    def digest(self) -> str:
        """A short hash of all six arrays, to recognise crystals again."""
        numbers = [values for name, values in self.arrays().items() if name != "ids"]
        parts = [np.ascontiguousarray(values).tobytes() for values in numbers]
        return digest("\n".join(self.ids), *parts)

    # ---- files -----------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """The six arrays by name, as in a file."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Inverse of `arrays`; other entries are ignored.

        Raises:
            KeyError: one is missing.
            InputError: they are not a batch.
        """
        return cls(*(arrays[f.name] for f in fields(cls)))

    def save(self, path: str | Path) -> None:
        """Write an .npz that holds the six arrays and no pickle."""
        write_archive(path, self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: the file is not such an archive.
        """
        with open_archive(path, "is not an archive of crystals") as archive:
            return cls.from_arrays(archive)
