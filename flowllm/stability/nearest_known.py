"""The known crystal nearest to a generated one: the same, or one of the same kind.

The same: a crystal of equal reduced formula that pymatgen's StructureMatcher matches. Of the same
kind: one of the same anonymous formula (ABX3) and space group, its elements nearest on Pettifor's
Mendeleev scale (J. Phys. C 19, 285 (1986)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.metrics.symmetry import space_groups
from flowllm.stability.novelty import match_family
from flowllm.stability.same_formula import SAME, ReducedFormula, by_formula, reduced_formulas

SECONDS = 5.0
"""That the comparison with one crystal may take; one that takes longer matches nothing."""
GROUP = "space_group"
LAST = 103
"""The last element that pymatgen has a Mendeleev number of."""


@dataclass(frozen=True)
class KnownCrystal:
    """A known crystal compared with a generated one.

    Attributes:
        place: position among the known crystals.
        id: of the known crystal, as in "mp-22862".
        formula: reduced.
        space_group: international number.
        same: whether the two match; else they have only anonymous formula and group in common.
    """

    place: int
    id: str
    formula: str
    space_group: int
    same: bool


class KnownCrystals:
    """Known crystals, found by reduced formula, and by anonymous formula and space group.

    Args:
        known: with the property `space_group`.

    Raises:
        InputError: the space groups are not known.
    """

    def __init__(self, known: CrystalSet) -> None:
        if GROUP not in known.properties:
            raise InputError("the nearest known crystal needs the space groups of the known ones")
        self.known = known
        self._groups = known.properties[GROUP]
        self._formulas = formulas = reduced_formulas(known.crystals)
        self._by_formula = by_formula(formulas)
        self._kinds: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for place, (formula, group) in enumerate(zip(formulas, self._groups, strict=True)):
            if np.isfinite(group):
                self._kinds.setdefault((_anonymous(formula), int(group)), []).append(place)

    def nearest(
        self,
        crystals: CrystalBatch,
        groups: np.ndarray | None = None,
        settings: MatchSettings = SAME,
    ) -> list[KnownCrystal | None]:
        """The nearest known crystal of each of B crystals; None if none is of its kind.

        Args:
            crystals: B crystals.
            groups: (B,) their space groups, 0 for none; found by spglib where they are left out.
            settings: tolerances of the matcher.
        """
        found = space_groups(crystals) if groups is None else groups
        result: list[KnownCrystal | None] = []
        for index, formula in enumerate(reduced_formulas(crystals)):
            rows = self._by_formula.get(formula, [])
            place = -1
            if rows:
                item = (crystals[index], self.known.crystals[rows], settings, SECONDS)
                place = match_family(item)[0][0]
            if place >= 0:
                result.append(self._of(rows[place], True))
                continue
            alike = self._kinds.get((_anonymous(formula), int(found[index])), [])
            result.append(self._of(self._nearest_of(formula, alike), False) if alike else None)
        return result

    def alike(
        self,
        crystal: CrystalBatch,
        count: int,
        group: int | None = None,
        settings: MatchSettings = SAME,
    ) -> list[KnownCrystal]:
        """The known crystals that are nearest to one: of its formula, then of its kind.

        Args:
            crystal: a batch of one.
            count: how many, at most.
            group: its space group, 0 for none; found by spglib where it is left out.
            settings: tolerances of the matcher, which marks the first that is the same.
        """
        (formula,) = reduced_formulas(crystal)
        found = int(space_groups(crystal)[0]) if group is None else group
        rows = self._by_formula.get(formula, [])
        same = -1
        if rows:
            item = (crystal, self.known.crystals[rows], settings, SECONDS)
            same = rows[place] if (place := match_family(item)[0][0]) >= 0 else -1
        kind = self._kinds.get((_anonymous(formula), found), [])
        others = [place for place in kind if place not in rows]
        near = sorted(rows, key=lambda place: (place != same, self._groups[place] != found))
        near += [others[at] for at in np.argsort(self._steps(formula, others), kind="stable")]
        return [self._of(place, place == same) for place in near[:count]]

    def _nearest_of(self, formula: ReducedFormula, places: list[int]) -> int:
        return places[int(np.argmin(self._steps(formula, places)))]

    def _steps(self, formula: ReducedFormula, places: list[int]) -> np.ndarray:
        """Steps on Mendeleev's scale from a formula to those of known crystals of its kind."""
        weights = np.array(_anonymous(formula), dtype=float)
        theirs = [_on_mendeleev_scale(self._formulas[place]) for place in places]
        return (
            np.abs(np.reshape(theirs, (-1, len(weights))) - _on_mendeleev_scale(formula)) @ weights
        )

    def _of(self, place: int, same: bool) -> KnownCrystal:
        return KnownCrystal(
            place,
            str(self.known.crystals.ids[place]),
            self.known.reduced_formulas[place],
            int(self._groups[place]) if np.isfinite(self._groups[place]) else 0,
            same,
        )


def _anonymous(formula: ReducedFormula) -> tuple[int, ...]:
    """The amounts of a reduced formula, ascending: (1, 1, 3) of SrTiO3."""
    return tuple(sorted(amount for _, amount in formula))


def _on_mendeleev_scale(formula: ReducedFormula) -> np.ndarray:
    """(E,) Mendeleev numbers in the order of the amounts, ascending among equal amounts.

    Of the ways to exchange elements of equal amounts this order makes the sum of steps between two
    formulas least.
    """
    scale = mendeleev_numbers()
    rows = sorted((amount, scale[number]) for number, amount in formula)
    return np.array([place for _, place in rows])


@cache
def mendeleev_numbers() -> np.ndarray:
    """(119,) Mendeleev numbers of the elements by atomic number; 0 beyond lawrencium."""
    from pymatgen.core import Element

    scale = np.zeros(len(SYMBOLS))
    scale[1 : LAST + 1] = [Element(symbol).mendeleev_no for symbol in SYMBOLS[1 : LAST + 1]]
    return scale
