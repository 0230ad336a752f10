"""Total energies to formation energies, by the elements' reference energies.

The references are the lowest entries of each element in the Materials Project of 2023-02-07, as in
Matbench Discovery (Riebesell et al., Nature Machine Intelligence 7, 836 (2025)).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError

REFERENCE_FILE = "hull/2023-02-07-mp-elemental-reference-entries.json"

Compositions = CrystalBatch | Sequence[Mapping[str, float]]
"""B crystals, or B mappings from elements to amounts in any unit."""


@dataclass(frozen=True)
class ElementalReferences:
    """The energy of each element in its reference state.

    Attributes:
        energies: element -> total energy in eV/atom.

    Raises:
        InputError: an element that does not exist, or an energy that is not finite.
    """

    energies: Mapping[str, float]

    def __post_init__(self) -> None:
        for element, energy in self.energies.items():
            if element not in NUMBER_OF:
                raise InputError(f"{element} is no element")
            if not np.isfinite(energy):
                raise InputError(f"the reference energy of {element} is {energy}")

    @classmethod
    def from_json(cls, path: str | Path) -> ElementalReferences:
        """From Matbench Discovery's file: element -> pymatgen's ComputedEntry as a dictionary.

        Raises:
            InputError: the file is missing or is no such file.
        """
        try:
            entries = json.loads(Path(path).read_text(encoding="utf-8"))
            energies = {}
            for element, entry in entries.items():
                atoms = float(sum(entry["composition"].values()))
                if set(entry["composition"]) != {element}:
                    raise ValueError(f"the entry of {element} is not made of {element}")
                total = float(entry["energy"]) + float(entry.get("correction", 0.0))
                energies[element] = total / atoms
        except FileNotFoundError as error:
            raise InputError(f"no such file: {path}") from error
        except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
            raise InputError(f"{path} holds no elemental reference entries: {error}") from error
        return cls(energies)

    def formation_energy(
        self, crystals: Compositions, energies: Sequence[float] | np.ndarray
    ) -> np.ndarray:
        """(B,) formation energies in eV/atom; NaN where `faults` gives a reason.

        Args:
            crystals: B crystals or compositions.
            energies: (B,) total energies in eV/atom.

        Raises:
            InputError: another number of energies than crystals.
        """
        rows, totals = _compositions(crystals), checked_energies(crystals, energies)
        result = np.full(len(rows), np.nan)
        for index, (amounts, fault) in enumerate(zip(rows, self.faults(rows), strict=True)):
            if not fault:
                atoms = sum(amounts.values())
                reference = sum(n * self.energies[e] for e, n in amounts.items()) / atoms
                result[index] = totals[index] - reference
        return result

    def faults(self, crystals: Compositions) -> list[str]:
        """Per crystal why it has no formation energy, in words; empty where it has one."""
        result = []
        for amounts in _compositions(crystals):
            missing = [element for element in amounts if element not in self.energies]
            if not amounts:
                result.append("no atoms")
            elif "X" in missing:
                result.append("an atom's type is open")
            elif missing:
                result.append(f"no reference energy of {_listed(missing)}")
            else:
                result.append("")
        return result


def checked_energies(crystals: Compositions, energies: Sequence[float] | np.ndarray) -> np.ndarray:
    """(B,) float64 energies; NaN and infinities stay what they are.

    Raises:
        InputError: another number of energies than crystals.
    """
    values = np.asarray(energies, dtype=np.float64).reshape(-1)
    if len(values) != len(crystals):
        raise InputError(f"{len(values)} energies for {len(crystals)} crystals")
    return values


def _compositions(crystals: Compositions) -> Sequence[Mapping[str, float]]:
    return crystals.compositions if isinstance(crystals, CrystalBatch) else crystals


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))
