"""Standardisation of CDVAE's outputs, and the elements of its training crystals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.networks.cdvae.heads import SPECIES
from flowllm.runs.json_object import JsonObject

LEAST_DEVIATION = 1e-3
LENGTHS, ANGLES = (0.5, 200.0), (20.0, 160.0)
"""Å and degrees beyond which no decoded cell goes."""


@dataclass(frozen=True)
class CDVAEStatistics:
    """Means and standard deviations over training crystals; checks itself.

    Attributes:
        cell_mean: 6 numbers: lengths in Å over the cube root of the number of atoms, and angles in
            degrees.
        cell_std: their standard deviations.
        energy_mean: formation energy in eV/atom.
        energy_std: its standard deviation.
        elements: atomic numbers of the training crystals; others are not drawn.

    Raises:
        InputError: a wrong number of values, one not finite, or a deviation that is not positive.
    """

    cell_mean: tuple[float, ...]
    cell_std: tuple[float, ...]
    energy_mean: float
    energy_std: float
    elements: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("cell_mean", "cell_std"):
            values = getattr(self, name)
            if len(values) != 6 or not np.isfinite(values).all():
                raise InputError(f"{name} must be six finite numbers, not {values}")
        if min(*self.cell_std, self.energy_std) <= 0:
            raise InputError("standard deviations must be positive")
        foreign = [z for z in self.elements if not 1 <= z <= SPECIES]
        if foreign or not self.elements:
            raise InputError(f"elements must be from 1 to {SPECIES}, not {foreign}")

    @classmethod
    def fit(cls, crystals: CrystalBatch, energies: np.ndarray) -> CDVAEStatistics:
        """Of training crystals and their (B,) formation energies in eV/atom, NaN where unknown.

        Raises:
            InputError: there are no crystals, or one has an element beyond `SPECIES`.
        """
        if not len(crystals):
            raise InputError("CDVAE needs crystals to train on")
        raw = _raw(crystals.lengths, crystals.angles, crystals.num_atoms)
        known = energies[np.isfinite(energies)]
        return cls(
            tuple(raw.mean(0).tolist()),
            tuple(np.maximum(raw.std(0), LEAST_DEVIATION).tolist()),
            float(known.mean()) if len(known) else 0.0,
            max(float(known.std()), LEAST_DEVIATION) if len(known) else 1.0,
            tuple(np.unique(crystals.atomic_numbers).tolist()),
        )

    def standardised(self, crystals: CrystalBatch) -> np.ndarray:
        """(B, 6) cells as the cell head outputs them."""
        raw = _raw(crystals.lengths, crystals.angles, crystals.num_atoms)
        result: np.ndarray = (raw - np.array(self.cell_mean)) / np.array(self.cell_std)
        return result

    def cells(self, decoded: np.ndarray, num_atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lengths (B, 3) in Å and angles (B, 3) in degrees of decoded cells (B, 6).

        Raises:
            InputError: a number is not finite, as of damaged weights.
        """
        if not np.isfinite(decoded).all():
            raise InputError("the decoded cell is not finite: the weights are damaged")
        raw = decoded * np.array(self.cell_std) + np.array(self.cell_mean)
        lengths = raw[:, :3] * np.cbrt(num_atoms)[:, None]
        return np.clip(lengths, *LENGTHS), np.clip(raw[:, 3:], *ANGLES)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_record(cls, record: JsonObject) -> CDVAEStatistics:
        """Inverse of `to_dict`.

        Raises:
            InputError: a value is missing or wrong.
        """
        mean, std = (tuple(record.numbers(name, length=6)) for name in ("cell_mean", "cell_std"))
        elements = tuple(int(z) for z in record.numbers("elements"))
        energy = record.number("energy_mean"), record.number("energy_std")
        return cls(mean, std, *energy, elements)


def _raw(lengths: np.ndarray, angles: np.ndarray, num_atoms: np.ndarray) -> np.ndarray:
    return np.concatenate([lengths / np.cbrt(num_atoms)[:, None], angles], 1)
