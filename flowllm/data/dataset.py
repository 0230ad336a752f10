"""CrystalSet: prepared crystals with what is known of each; training reads it without pymatgen."""

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


@dataclass(frozen=True)
class CrystalSet:
    """Prepared crystals and their properties, in the order of the source.

    Attributes:
        crystals: B reduced crystals.
        properties: name -> (B,) float64, NaN where unknown; names as in `PROPERTIES`.
        formulas: (B,) reduced formulas by pymatgen's convention, as in SrTiO3; found by pymatgen
            where they are left out.
    """

    crystals: CrystalBatch
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    formulas: np.ndarray | None = None

    def __post_init__(self) -> None:
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
        )

    @classmethod
    def concatenate(cls, parts: list[CrystalSet]) -> CrystalSet:
        """One set out of several; a property that a part lacks is unknown there."""
        names = [n for n in PROPERTIES if any(n in part.properties for part in parts)]
        columns = {
            name: np.concatenate(
                [part.properties.get(name, np.full(len(part), np.nan)) for part in parts]
            )
            for name in names
        }
        crystals = CrystalBatch.concatenate(part.crystals for part in parts)
        formulas = [part._formulas for part in parts]
        return cls(crystals, columns, np.concatenate(formulas) if formulas else None)

    def arrays(self) -> dict[str, Any]:
        """Everything as plain arrays by name, as `save` writes them."""
        arrays = {f.name: getattr(self.crystals, f.name) for f in fields(CrystalBatch)}
        columns = {f"property_{name}": values for name, values in self.properties.items()}
        return arrays | columns | {"formulas": self._formulas}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CrystalSet:
        """From what `arrays` gave; others beside them do not count.

        Raises:
            KeyError: one is missing.
            InputError: they are no set of crystals.
        """
        prefix = "property_"
        names = [name for name in arrays if name.startswith(prefix)]
        columns = {name.removeprefix(prefix): arrays[name] for name in names}
        formulas = arrays.get("formulas")
        return cls(CrystalBatch.from_arrays(arrays), columns, formulas)

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
