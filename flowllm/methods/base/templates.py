"""The training crystal nearest to a composition: same stoichiometry, most similar elements.

Elements are alike when their Mendeleev numbers are near (Pettifor's chemical scale), the measure
with which structure maps sort compounds (Pettifor, Solid State Communications 51, 31, 1984).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS


@dataclass(frozen=True)
class Template:
    """A training crystal that stands for a composition.

    Attributes:
        row: its position.
        exchange: atomic number in the template -> atomic number in its place.
        stretch: factor on the lengths, by the volumes of the atoms.
        distance: mean difference of Mendeleev numbers per atom.
    """

    row: int
    exchange: dict[int, int]
    stretch: float
    distance: float


class TemplateIndex:
    """Training crystals by stoichiometry.

    Args:
        crystals: the templates.
    """

    def __init__(self, crystals: CrystalBatch) -> None:
        self._groups: dict[tuple[int, ...], list[int]] = {}
        self._compositions = crystals.compositions
        for row, composition in enumerate(self._compositions):
            self._groups.setdefault(_stoichiometry(composition), []).append(row)
        self._arrays: dict[tuple[int, ...], np.ndarray] = {}

    def nearest(self, composition: dict[str, int]) -> Template | None:
        """The nearest crystal of another formula; None where no crystal has the stoichiometry.

        A crystal of the same reduced formula would be the answer itself, not a guess. Of equally
        near ones the first is taken.
        """
        key = _stoichiometry(composition)
        rows = self._groups.get(key, [])
        if not rows:
            return None
        numbers, asked, scale = self._group(key), _sorted(composition), mendeleev_numbers()
        counts = np.array(key)
        # on a line, pairing in order costs least; so each distance is exact
        distances = (np.abs(scale[numbers] - scale[asked]) * counts).sum(1) / counts.sum()
        own = _reduced(composition)
        for place in np.argsort(distances, kind="stable"):
            template = self._compositions[rows[place]]
            if _reduced(template) == own:
                continue
            exchange = dict(zip(numbers[place].tolist(), asked.tolist(), strict=True))
            stretch = _stretch(template, composition)
            return Template(rows[place], exchange, stretch, float(distances[place]))
        return None

    def _group(self, key: tuple[int, ...]) -> np.ndarray:
        """(K, e) atomic numbers of the templates of a stoichiometry, by count, then by scale."""
        if key not in self._arrays:
            rows = self._groups[key]
            self._arrays[key] = np.array([_sorted(self._compositions[row]) for row in rows])
        return self._arrays[key]


def _stoichiometry(composition: dict[str, int]) -> tuple[int, ...]:
    return tuple(sorted(composition.values()))


def _sorted(composition: dict[str, int]) -> np.ndarray:
    """(e,) atomic numbers by their count, then by Mendeleev number."""
    scale = mendeleev_numbers()
    numbers = {NUMBER_OF[symbol]: count for symbol, count in composition.items()}
    return np.array(sorted(numbers, key=lambda z: (numbers[z], scale[z], z)))


def _reduced(composition: dict[str, int]) -> frozenset[tuple[str, int]]:
    units = math.gcd(*composition.values())
    return frozenset((symbol, count // units) for symbol, count in composition.items())


def _stretch(template: dict[str, int], wanted: dict[str, int]) -> float:
    """Cube root of the ratio of the atoms' volumes, by covalent radii (Cordero et al. 2008)."""
    from ase.data import covalent_radii

    def volume(composition: dict[str, int]) -> float:
        return sum(n * covalent_radii[NUMBER_OF[s]] ** 3 for s, n in composition.items())

    return float((volume(wanted) / volume(template)) ** (1 / 3))


@lru_cache(maxsize=1)
def mendeleev_numbers() -> np.ndarray:
    """(119,) Mendeleev number of each atomic number; 0 for open types and where none is known."""
    from pymatgen.core import Element

    values = np.zeros(len(SYMBOLS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about elements that no crystal is made of
        for symbol, number in NUMBER_OF.items():
            value = Element(symbol).mendeleev_no
            values[number] = 0.0 if value is None or not np.isfinite(value) else float(value)
    return values
