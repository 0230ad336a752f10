"""Formulas by pymatgen's convention, each composition looked up once."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Formula(NamedTuple):
    """How a composition is written.

    Attributes:
        reduced: as in SrTiO3.
        full: of the cell, as in "Sr2 Ti2 O6".
        units: how many reduced formulas the cell holds.
    """

    reduced: str
    full: str
    units: int


@lru_cache(maxsize=65536)
def formula_of(composition: tuple[tuple[str, int], ...]) -> Formula:
    """The formula of (element, atoms in the cell)."""
    from pymatgen.core import Composition

    found = Composition(dict(composition))
    reduced, units = found.get_reduced_formula_and_factor()
    return Formula(reduced, found.formula, int(units))
