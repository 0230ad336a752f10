"""Whether atoms can be arranged so that a crystal has a space group and no higher symmetry.

Sites are not enough: with two atoms each of two elements, all crystals that Fm-3m has sites for are
caesium chloride in a larger cell, of Pm-3m.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

import numpy as np

from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.filling import Counts, letters_that_fill
from flowllm.symmetry.find import dataset_of, idealised_cell
from flowllm.symmetry.space_group import LETTERS, space_group

MOST = 200
"""Arrangements that are looked at; where none of so many is right, one of the others may be."""
LENGTHS, ANGLES = np.array([17.0, 21.3, 25.9]), np.array([79.0, 97.0, 104.0])
"""Å and degrees of a cell without symmetry of its own."""
SYMPREC = 0.001  # Å


@lru_cache(maxsize=65536)
def can_have(number: int, counts: Counts) -> bool:
    """Whether a primitive cell with these atoms can have exactly this space group.

    Args:
        number: of the space group.
        counts: atoms of each element, in rising order.
    """
    looked_at = 0
    for arrangement in islice(arrangements(number, counts), MOST):
        if _group_of(number, arrangement) == number:
            return True
        looked_at += 1
    return looked_at == MOST


def arrangements(number: int, counts: Counts) -> Iterator[list[tuple[int, str]]]:
    """All ways to put atoms on the Wyckoff positions of a space group, the least symmetric first.

    Each way is the (place of the element, letter) of its orbits.
    """
    return _continued(number, counts, 0, 0, frozenset())


def _continued(
    number: int, counts: Counts, written: int, first: int, used: frozenset[str]
) -> Iterator[list[tuple[int, str]]]:
    """The orbits after this many atoms of the first element, from a letter on."""
    if not counts:
        yield []
        return
    if written == counts[0]:
        for rest in _continued(number, counts[1:], 0, 0, used):
            yield [(place + 1, letter) for place, letter in rest]
        return
    group = space_group(number)
    for letter in reversed(letters_that_fill(number, first, counts[0] - written, counts[1:], used)):
        position = group.positions[letter]
        taken = used if position.free else used | {letter}
        atoms = written + position.atoms
        for rest in _continued(number, counts, atoms, LETTERS.index(letter), taken):
            yield [(0, letter), *rest]


def _group_of(number: int, arrangement: list[tuple[int, str]]) -> int:
    """The space group that spglib finds for an arrangement with random free parameters."""
    group, rng = space_group(number), np.random.default_rng(0)
    letters = tuple(letter for _, letter in arrangement)
    coords = [group.positions[x].place(rng.random(len(group.positions[x].free))) for x in letters]
    crystal = SymmetricCrystal(
        number,
        *idealised_cell(group, LENGTHS, ANGLES),
        np.array([1 + place for place, _ in arrangement]),
        letters,
        np.array(coords),
    )
    found = dataset_of(crystal.to_primitive(reduced=False), SYMPREC)
    return 0 if found is None else found.number
