"""CrystalSet: prepared crystals with what is known of each; training reads it without pymatgen."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np

from flowllm.crystal import CrystalBatch
from flowllm.errors import InputError

PROPERTIES = ("space_group", "formation_energy", "e_above_hull", "band_gap", "exact")
"""Known properties: space group number (0 unknown), eV/atom, eV/atom, eV (NaN unknown), 0 or 1."""


@dataclass(frozen=True)
class CrystalSet:
    """Prepared crystals and their properties, in the order of the source.

    Attributes:
        crystals: B reduced crystals.
        properties: name -> (B,) float64, NaN where unknown; names as in `PROPERTIES`.
    """

    crystals: CrystalBatch
    properties: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.properties.items():
            if name not in PROPERTIES:
                raise InputError(f"unknown property {name}; known are {', '.join(PROPERTIES)}")
            if len(values) != len(self.crystals):
                raise InputError(
                    f"{len(values)} values of {name} for {len(self.crystals)} crystals"
                )

    def __len__(self) -> int:
        return len(self.crystals)

    def __getitem__(self, index: slice | np.ndarray) -> CrystalSet:
        """Part of the set, by slice, positions or boolean mask."""
        chosen = np.arange(len(self))[index]
        return CrystalSet(
            self.crystals[chosen], {name: v[chosen] for name, v in self.properties.items()}
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
        return cls(CrystalBatch.concatenate(part.crystals for part in parts), columns)

    def arrays(self) -> dict[str, Any]:
        """Everything as plain arrays by name, as `save` writes them."""
        arrays = {f.name: getattr(self.crystals, f.name) for f in fields(CrystalBatch)}
        return arrays | {f"property_{name}": values for name, values in self.properties.items()}

    def save(self, path: str | Path | IO[bytes]) -> None:
        """Write an .npz of plain arrays."""
        np.savez_compressed(path, **self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> CrystalSet:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not such an archive.
        """
        prefix = "property_"
        try:
            crystals = CrystalBatch.load(path)
            with np.load(path, allow_pickle=False) as archive:
                names = [name for name in archive.files if name.startswith(prefix)]
                return cls(crystals, {name.removeprefix(prefix): archive[name] for name in names})
        except (BadZipFile, EOFError, ValueError, zlib.error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is not an archive of crystals: {error}") from error
