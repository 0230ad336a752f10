"""Energy above the convex hull of formation energies, for tables that lack it.

The hull is the lower bound of formation energy over mixtures of known compounds: a linear program
with one row per element. Elements stand at 0. A hull of a part of all compounds can only lie too
high. So energies above it come out too low, if they are of the same kind as those of the hull; a
potential's energies lie off those of density functional theory by an error of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from flowllm.data.hull_entries import (
    Composition,
    composition_key,
    fractions,
    parse_formula,
    read_formation_energies,
)
from flowllm.errors import InputError

TINY = 1e-9  # eV/atom, far below what any energy is known to


class FormationEnergyHull:
    """The convex hull of formation energies per atom, by chemical system.

    Args:
        formulas: E formulas, as in "Nd(Al2Cu)4".
        energies: (E,) formation energies in eV/atom.

    Raises:
        InputError: a formula does not parse, numbers differ, an energy is not finite.
    """

    def __init__(self, formulas: Iterable[str], energies: Sequence[float] | np.ndarray) -> None:
        names, values = list(formulas), np.asarray(energies, dtype=np.float64)
        if len(names) != len(values):
            raise InputError(f"{len(names)} formulas and {len(values)} energies of the hull")
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).argmax())
            raise InputError(f"the formation energy of {names[bad]} is {values[bad]}, not a number")
        lowest: dict[Composition, float] = {}
        for name, energy in zip(names, values.tolist(), strict=True):
            key = composition_key(parse_formula(name))
            if energy < lowest.get(key, 0.0):  # above 0 an entry is above the elements
                lowest[key] = energy
        self._entries: dict[tuple[str, ...], list[tuple[dict[str, float], float]]] = {}
        for key, energy in lowest.items():
            system = tuple(element for element, _ in key)
            self._entries.setdefault(system, []).append((dict(key), energy))
        self._systems: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def from_csv(cls, path: str | Path) -> FormationEnergyHull:
        """From a table for `read_formation_energies`.

        Raises:
            InputError: the file is missing or is no such table.
        """
        return cls(*read_formation_energies(path))

    def hull_energy(self, composition: Mapping[str, float]) -> float:
        """The hull at a composition, in eV/atom; at most 0.

        Args:
            composition: element -> amount, in any unit.

        Raises:
            InputError: no element, or one that does not exist.
        """
        amounts = fractions(composition)
        system = tuple(sorted(amounts))
        matrix, energies = self._system(system)
        return _lowest_mixture(matrix, energies, np.array([amounts[e] for e in system]))

    def distance_to_hull(self, composition: Mapping[str, float], energy: float) -> float:
        """Formation energy minus the hull in eV/atom; negative below the hull."""
        return float(energy) - self.hull_energy(composition)

    def e_above_hull(self, composition: Mapping[str, float], energy: float) -> float:
        """Energy above the hull of all entries and the crystal itself, in eV/atom; at least 0."""
        return max(0.0, self.distance_to_hull(composition, energy))

    def _system(self, system: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Compositions (k, M) and energies (M,) of all entries among k elements."""
        if system not in self._systems:
            entries = [({element: 1.0}, 0.0) for element in system]
            for part in self._parts(system):
                entries += self._entries.get(part, [])
            matrix = np.array([[e.get(element, 0.0) for e, _ in entries] for element in system])
            self._systems[system] = matrix, np.array([energy for _, energy in entries])
        return self._systems[system]

    def _parts(self, system: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
        """The systems among these elements, from the smallest and in alphabetical order."""
        if 2 ** len(system) <= len(self._entries):
            sizes = range(1, len(system) + 1)
            return itertools.chain(*(itertools.combinations(system, size) for size in sizes))
        present = set(system)
        return sorted(
            (p for p in self._entries if present.issuperset(p)), key=lambda p: (len(p), p)
        )


def _lowest_mixture(matrix: np.ndarray, energies: np.ndarray, target: np.ndarray) -> float:
    """min energies·w with matrix w = target, w >= 0, by the revised simplex method.

    scipy's `linprog` (HiGHS) takes 9 to 10 times as long and `PhaseDiagram` of pymatgen 12 times:
    1.3 and 1.4 ms a composition of MP-20's test split against 0.13 ms (1,500 of them on the shipped
    hull, lookup of the entries included); the hulls differ by less than 1e-10 eV/atom.

    Args:
        matrix: (k, M) compositions; the first k columns are the elements, a feasible start.
        energies: (M,).
        target: (k,) positive.
    """
    size = len(target)
    basis = np.arange(size)
    weights = target.copy()
    for step in range(50 * matrix.shape[1] + 100):
        columns = matrix[:, basis]
        prices = np.linalg.solve(columns.T, energies[basis])
        reduced = energies - prices @ matrix
        # after many steps Bland's rule, which cannot cycle in degenerate corners
        enter = int(reduced.argmin() if step < 100 else (reduced < -TINY).argmax())
        if reduced[enter] > -TINY:
            break
        direction = np.linalg.solve(columns, matrix[:, enter])
        usable = direction > 100 * TINY
        ratios = np.where(usable, weights / np.where(usable, direction, 1.0), np.inf)
        ties = np.flatnonzero(ratios <= ratios.min() + 1e-12)
        leave = ties[(direction[ties].argmax() if step < 100 else basis[ties].argmin())]
        weights = np.clip(weights - ratios[leave] * direction, 0.0, None)
        weights[leave] = ratios[leave]
        basis[leave] = enter
    return float(energies[basis] @ weights)
