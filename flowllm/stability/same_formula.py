"""Groups of crystals of equal composition, each reduced once, for matching.

pymatgen's StructureMatcher refuses crystals of different reduced formulas, and reduces both at each
comparison (Niggli, then primitive cell). Here each crystal is reduced once, as the matcher's own
`group_structures` does, and compared with `skip_structure_reduction`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.metrics.validity import MIN_VOLUME

if TYPE_CHECKING:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

SAME = MatchSettings(stol=0.3, angle_tol=5.0, ltol=0.2)
"""StructureMatcher's defaults, by which the papers decide whether two crystals are the same."""

MAX_CELLS = 1_000_000  # lattice points that a search for equal cells may hold in memory

ReducedFormula = tuple[tuple[int, int], ...]
"""((atomic number, atoms in the reduced formula), …) in the order of the atomic numbers."""


def reduced_formulas(crystals: CrystalBatch) -> list[ReducedFormula]:
    """B reduced formulas as numbers; empty without atoms."""
    numbers, result, start = crystals.atomic_numbers.tolist(), [], 0
    for count in crystals.num_atoms.tolist():
        amounts = Counter(numbers[start : start + count])  # of few atoms faster than numpy's unique
        largest = max(1, math.gcd(*amounts.values()))
        result.append(tuple((kind, amounts[kind] // largest) for kind in sorted(amounts)))
        start += count
    return result


def by_formula(formulas: Sequence[ReducedFormula]) -> dict[ReducedFormula, list[int]]:
    """Formula -> positions, in order of first appearance."""
    result: dict[ReducedFormula, list[int]] = {}
    for index, formula in enumerate(formulas):
        result.setdefault(formula, []).append(index)
    return result


def unmatchable(crystals: CrystalBatch) -> list[str]:
    """Per crystal why it cannot be compared with others; empty if it can.

    The last reason keeps the matcher from a search that would fill the memory: needles and plates
    of a volume that their longest edge dwarfs.
    """
    lowest = np.full(len(crystals), 1, dtype=np.int64)
    np.minimum.at(lowest, crystals.crystal_of_atom, crystals.atomic_numbers)
    volumes = crystals.volumes
    longest = crystals.lengths.max(-1, initial=0.0)
    with np.errstate(divide="ignore", over="ignore"):
        cells = 4 / 3 * math.pi * ((1 + SAME.ltol) * longest) ** 3 / volumes
    result = []
    for atoms, number, volume, count in zip(
        crystals.num_atoms, lowest, volumes, cells, strict=True
    ):
        if not atoms:
            result.append("no atoms")
        elif number < 1:
            result.append("an atom's type is open")
        elif volume <= 0:
            result.append("the cell has zero volume")
        elif volume <= MIN_VOLUME:
            result.append(f"volume {volume:.3f} Å^3")
        elif not count < MAX_CELLS:
            result.append("the cell is too long for its volume")
        else:
            result.append("")
    return result


@lru_cache(maxsize=8)
def matcher_of(settings: MatchSettings) -> StructureMatcher:
    """pymatgen's StructureMatcher with these tolerances."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher(stol=settings.stol, angle_tol=settings.angle_tol, ltol=settings.ltol)


def reduced(crystal: CrystalBatch) -> Structure:
    """The primitive cell of the Niggli cell of one crystal, as the matcher reduces it.

    Raises:
        InputError: the crystal cannot be reduced.
    """
    try:
        structure = crystal.to_pymatgen()[0].get_reduced_structure("niggli")
        return structure.get_primitive_structure()
    except (ValueError, np.linalg.LinAlgError) as error:
        raise InputError(f"its cell cannot be reduced: {error}") from error


def same(reference: Structure, other: Structure, settings: MatchSettings) -> bool:
    """Whether the matcher considers two reduced structures of equal formula the same.

    The matcher compares the reference with the other in this order (its answer can depend on it).
    Primitive cells of different size never match, so those are not handed to it.
    """
    if len(reference) != len(other):
        return False
    return bool(matcher_of(settings).fit(reference, other, skip_structure_reduction=True))
