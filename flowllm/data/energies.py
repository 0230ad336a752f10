"""Energies above the hull for a data set's crystals, without using held-out crystals.

The energy of a training crystal conditions the model that is trained on it. A hull that held the
energies of validation and test crystals would tell the model of them, so training crystals are
measured by a hull without every composition that only the other splits have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from flowllm.data.dataset import CrystalSet
from flowllm.data.hull import FormationEnergyHull
from flowllm.data.hull_entries import Composition, composition_key, parse_formula

OLDER_REFERENCES = {"Bi": 0.04956, "Br": 0.08390, "Eu": 0.03504, "I": 0.05065}
"""eV per atom of the element by which formation energies in MP-20 lie above those of the hull.

MP-20 took them from the Materials Project when the reference energies of these elements were
others. Measured as the median over compositions that hold the element, MP-20 minus hull.
"""


def formation_energies(crystals: CrystalSet) -> np.ndarray:
    """(B,) eV/atom of MP-20's crystals by the elemental references of the hull; NaN if unknown."""
    given = crystals.properties.get("formation_energy", np.full(len(crystals), np.nan))
    shifts = [
        sum(OLDER_REFERENCES.get(element, 0.0) * n for element, n in amounts.items())
        for amounts in crystals.crystals.compositions
    ]
    result: np.ndarray = given - np.array(shifts) / crystals.crystals.num_atoms
    return result


def hide_held_out(
    formulas: Sequence[str],
    energies: np.ndarray,
    training: CrystalSet,
    training_energies: np.ndarray,
    held_out: Iterable[CrystalSet],
) -> tuple[list[str], np.ndarray]:
    """The entries of a hull without held-out crystals.

    An entry whose composition occurs in a held-out split is left out, for its energy may be that of
    a held-out crystal; where training has the composition too, its own lowest energy takes the
    place.

    Args:
        formulas: E formulas of the whole hull.
        energies: (E,) eV/atom.
        training: the training crystals.
        training_energies: (B,) their formation energies in eV/atom; NaN where unknown.
        held_out: the other splits.

    Returns:
        Formulas and energies of the entries that remain.
    """
    hidden = {key for part in held_out for key in composition_keys(part)}
    lowest: dict[Composition, tuple[float, str]] = {}
    for key, formula, energy in zip(
        composition_keys(training), training.reduced_formulas, training_energies, strict=True
    ):
        if key in hidden and np.isfinite(energy):
            lowest[key] = min(lowest.get(key, (np.inf, "")), (float(energy), formula))
    kept = [
        (formula, float(energy))
        for formula, energy in zip(formulas, energies, strict=True)
        if composition_key(parse_formula(formula)) not in hidden
    ]
    kept += [(formula, energy) for energy, formula in lowest.values()]
    return [formula for formula, _ in kept], np.array([energy for _, energy in kept])


def composition_keys(crystals: CrystalSet) -> list[Composition]:
    """B compositions, equal for equal reduced formulas."""
    return [composition_key(amounts) for amounts in crystals.crystals.compositions]


def energies_above(
    crystals: CrystalSet, formation: np.ndarray, hull: FormationEnergyHull
) -> np.ndarray:
    """(B,) energies above a hull in eV/atom, at least 0; NaN without a formation energy."""
    result = np.full(len(crystals), np.nan)
    known = np.flatnonzero(np.isfinite(formation))
    for index, amounts in zip(known, crystals.crystals[known].compositions, strict=True):
        result[index] = hull.e_above_hull(amounts, formation[index])
    return result


def fill_e_above_hull(
    crystals: CrystalSet, hull: FormationEnergyHull | None
) -> tuple[CrystalSet, dict[str, int]]:
    """Fill in missing energies above the hull; also return how many came from each source.

    A crystal without a formation energy, and every open one without a hull, stays unknown.
    """
    count = len(crystals)
    unknown = np.full(count, np.nan)
    given = crystals.properties.get("e_above_hull", unknown)
    filled = given
    if hull is not None:
        formation = crystals.properties.get("formation_energy", unknown)
        missing = np.where(np.isnan(given), formation, np.nan)
        filled = np.where(np.isnan(given), energies_above(crystals, missing, hull), given)
    known, before = int((~np.isnan(filled)).sum()), int((~np.isnan(given)).sum())
    numbers = {"given": before, "computed": known - before, "unknown": count - known}
    if not known:
        return crystals, numbers
    return replace(crystals, properties={**crystals.properties, "e_above_hull": filled}), numbers
