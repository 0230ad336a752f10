"""CrystalSet: prepared crystals with their properties; training reads it without pymatgen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive

PROPERTIES = ("space_group", "formation_energy", "e_above_hull", "band_gap", "exact")
"""Known properties: space group number (0 unknown), eV/atom, eV/atom, eV (NaN unknown), 0 or 1."""


DEFAULT_MAX_ATOMS = 20  # of MP-20


@dataclass(frozen=True)
class CrystalSet:
    """Prepared crystals and their properties, in the order of the source.

    Attributes:
        crystals: B reduced crystals.
        properties: name -> (B,) float64, NaN where unknown; names as in `PROPERTIES`.
        formulas: (B,) reduced formulas by pymatgen's convention, as in SrTiO3; found by pymatgen
            where they are left out.
        max_atoms: the largest primitive cell that was let in; 0 takes 20, or the largest that is
            there.
    """

    crystals: CrystalBatch
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    formulas: np.ndarray | None = None
    max_atoms: int = 0

    def __post_init__(self) -> None:
        largest = int(self.crystals.num_atoms.max(initial=0))
        if not self.max_atoms:
            object.__setattr__(self, "max_atoms", max(DEFAULT_MAX_ATOMS, largest))
        elif largest > self.max_atoms:
            raise InputError(
                f"a cell of {largest} atoms in a data set of at most {self.max_atoms} atoms a cell"
            )
        if self.formulas is None:
            object.__setattr__(self, "formulas", np.array(self.crystals.formulas, dtype=np.str_))
        elif len(self.formulas) != len(self.crystals):
            raise InputError(f"{len(self.formulas)} formulas for {len(self.crystals)} crystals")
        for name, values in self.properties.items():
            if name not in PROPERTIES:
                raise InputError(f"unknown property {name}; known are {', '.join(PROPERTIES)}")
            if len(values) != len(self.crystals):
                raise InputError(
                    f"{len(values)} values of {name} for {len(self.crystals)} crystals"
                )

    @property
    def reduced_formulas(self) -> list[str]:
        """B reduced formulas."""
        return self._formulas.tolist()

    @property
    def _formulas(self) -> np.ndarray:
        assert self.formulas is not None  # filled in by __post_init__
        return self.formulas

    def __len__(self) -> int:
        return len(self.crystals)

    def __getitem__(self, index: slice | np.ndarray) -> CrystalSet:
        """Part of the set, by slice, positions or boolean mask."""
        chosen = np.arange(len(self))[index]
        return CrystalSet(
            self.crystals[chosen],
            {name: values[chosen] for name, values in self.properties.items()},
            self._formulas[chosen],
            self.max_atoms,
        )

    @classmethod
    def concatenate(cls, parts: list[CrystalSet]) -> CrystalSet:
        """Concatenate sets; a property missing from a part is unknown there."""
        names = [n for n in PROPERTIES if any(n in part.properties for part in parts)]
        columns = {
            name: np.concatenate(
                [part.properties.get(name, np.full(len(part), np.nan)) for part in parts]
            )
            for name in names
        }
        crystals = CrystalBatch.concatenate(part.crystals for part in parts)
        formulas = [part._formulas for part in parts]
        most = max((part.max_atoms for part in parts), default=0)
        return cls(crystals, columns, np.concatenate(formulas) if formulas else None, most)

    def arrays(self) -> dict[str, Any]:
        """All data as plain arrays by name, as `save` writes them."""
        arrays = {f.name: getattr(self.crystals, f.name) for f in fields(CrystalBatch)}
        columns = {f"property_{name}": values for name, values in self.properties.items()}
        about = {"formulas": self._formulas, "max_atoms": np.array(self.max_atoms)}
        return arrays | columns | about

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CrystalSet:
        """Inverse of `arrays`; other entries are ignored.

        Raises:
            KeyError: one is missing.
            InputError: they are not a set of crystals.
        """
        prefix = "property_"
        names = [name for name in arrays if name.startswith(prefix)]
        columns = {name.removeprefix(prefix): arrays[name] for name in names}
        formulas = arrays.get("formulas")
        most = int(arrays.get("max_atoms", 0))  # files of before it was kept have none
        return cls(CrystalBatch.from_arrays(arrays), columns, formulas, most)

    def save(self, path: str | Path) -> None:
        """Write an .npz of plain arrays."""
        write_archive(path, self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> CrystalSet:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not such an archive.
        """
        with open_archive(path, "is not an archive of crystals") as archive:
            return cls.from_arrays(archive)
