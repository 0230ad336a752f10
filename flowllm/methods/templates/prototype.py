"""Prototypes: space group and occupied Wyckoff positions, independent of the elements.

Equivalent choices of origin and axes call the same positions by other letters (the Euclidean
normaliser, International Tables A, section 3.5). Among all of them we take the first, so that two
crystals of one structure type have one prototype. Each element plays a role in it: the letters of
its orbits. Where a choice of origin exchanges roles, as in rocksalt, the elements may be exchanged
without a change of the structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import permutations, product

from flowllm.symmetry.normalizer import letter_maps
from flowllm.symmetry.space_group import LETTERS, space_group

Role = tuple[int, tuple[int, ...]]
"""Atoms in the primitive cell, and the places of the letters of the orbits, ascending."""
Order = tuple[int, ...]


@dataclass(frozen=True, order=True)
class Prototype:
    """A space group and the positions that e elements occupy.

    Attributes:
        number: of the space group.
        roles: e roles, ascending: the elements with the fewest atoms come first.
    """

    number: int
    roles: tuple[Role, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """(e,) atoms of each element in the primitive cell, ascending."""
        return tuple(atoms for atoms, _ in self.roles)

    @property
    def label(self) -> str:
        """Space group and letters, as in "225: a, b"."""
        letters = ("".join(LETTERS[place] for place in places) for _, places in self.roles)
        return f"{self.number}: {', '.join(letters)}"


def prototype_of(
    number: int, elements: Sequence[int], letters: Sequence[int]
) -> tuple[Prototype, Order, tuple[Order, ...]]:
    """The prototype of a crystal, and the role of each element.

    Args:
        number: of the space group.
        elements: atomic numbers of k orbits.
        letters: places of their letters in the alphabet.

    Returns:
        The prototype; (e,) atomic numbers by role; and the exchanges of roles that the letters do
        not show, as orders of the roles, the identity first. Without free coordinates the
        structure stays the same by them.
    """
    kinds = sorted(set(elements))
    orbits = list(zip(elements, letters, strict=True))
    found = tuple(tuple(sorted(x for z, x in orbits if z == kind)) for kind in kinds)
    roles, orders = _first(number, found)
    by_role = tuple(kinds[k] for k in orders[0])
    exchanges = tuple(tuple(orders[0].index(k) for k in order) for order in orders)
    return Prototype(number, roles), by_role, exchanges


@lru_cache(maxsize=65536)
def _first(
    number: int, letters: tuple[tuple[int, ...], ...]
) -> tuple[tuple[Role, ...], tuple[Order, ...]]:
    """The first roles over all normaliser operations, and the element orders that give them.

    Args:
        number: of the space group.
        letters: of each element, as places in the alphabet.
    """
    positions = list(space_group(number).positions.values())
    atoms = [sum(positions[place].atoms for place in own) for own in letters]
    best: tuple[Role, ...] | None = None
    orders: set[Order] = set()
    for mapping in _place_maps(number):
        moved = [
            (count, tuple(sorted(mapping[place] for place in own)))
            for count, own in zip(atoms, letters, strict=True)
        ]
        roles = tuple(sorted(moved))
        if best is None or roles < best:
            best, orders = roles, set()
        if roles == best:
            orders.update(_sorting(moved))
    assert best is not None  # the identity is among the choices
    return best, tuple(sorted(orders))


@cache
def _place_maps(number: int) -> tuple[tuple[int, ...], ...]:
    """Distinct permutations of Wyckoff letters under the normaliser."""
    maps = (tuple(map(LETTERS.index, found.values())) for found in letter_maps(number))
    return tuple(dict.fromkeys(maps))


def _sorting(roles: list[Role]) -> list[Order]:
    """All orders that sort roles; several if elements share a role."""
    groups = [[k for k, role in enumerate(roles) if role == kind] for kind in sorted(set(roles))]
    return [
        tuple(k for part in parts for k in part)
        for parts in product(*(permutations(group) for group in groups))
    ]


def assignments(counts: tuple[int, ...], composition: dict[int, int]) -> list[Order]:
    """All assignments of a prototype's roles to the elements of a composition.

    Args:
        counts: (e,) atoms of each role, ascending.
        composition: {atomic number: atoms in the cell}, of the same numbers of atoms.

    Returns:
        (e,) atomic numbers by role, for each way.
    """
    groups = [
        sorted(z for z, atoms in composition.items() if atoms == count)
        for count in sorted(set(counts))
    ]
    return [
        tuple(z for part in parts for z in part)
        for parts in product(*(permutations(group) for group in groups))
    ]
