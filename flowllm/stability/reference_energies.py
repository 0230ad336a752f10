"""Total energies to formation energies, by the elements' reference energies.

The references are the lowest entries of each element in the Materials Project of 2023-02-07, as in
Matbench Discovery (Riebesell et al., Nature Machine Intelligence 7, 836 (2025)).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.runs.json_object import JsonObject

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
                raise InputError(f"{element} is not an element")
            if not np.isfinite(energy):
                raise InputError(f"the reference energy of {element} is {energy}")

    @classmethod
    def from_json(cls, path: str | Path) -> ElementalReferences:
        """From Matbench Discovery's file: element -> pymatgen's ComputedEntry as a dictionary.

        Raises:
            InputError: the file is missing or is no such file.
        """
        try:
            entries = JsonObject.read(path)
            return cls({element: _per_atom(entries, element) for element in entries})
        except InputError as error:
            raise InputError(f"{path} contains no elemental reference entries: {error}") from None

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
        """Per crystal why it has no formation energy; empty if it has one."""
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


def _per_atom(entries: JsonObject, element: str) -> float:
    """The energy of an element's entry in eV/atom."""
    entry = entries.record(element)
    composition = entry.record("composition")
    if list(composition) != [element]:
        raise InputError(f"the entry of {element[:40]} is not made of {element[:40]}")
    atoms = composition.number(element)
    if not atoms > 0:
        raise InputError(f"the entry of {element} holds {atoms} atoms")
    return (entry.number("energy") + entry.number("correction", 0.0)) / atoms
