"""Which orbits atoms can occupy, given the positions of a space group.

A position without free coordinates is taken once at most, by one element; one with a free
coordinate any number of times (International Tables for Crystallography A, section 1.4.4).
Atoms are counted in the primitive cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import product

from flowllm.symmetry.space_group import SpaceGroup, WyckoffPosition, space_group

Counts = tuple[int, ...]


@lru_cache(maxsize=65536)
def can_fill(
    number: int, first: int, need: int, later: Counts, used: frozenset[str] = frozenset()
) -> bool:
    """Whether the remaining atoms can be placed on orbits.

    Args:
        number: of the space group.
        first: place of the first letter that the present element may still take.
        need: atoms of the present element that must follow.
        later: atoms of each element behind it, in rising order.
        used: letters without free coordinates that are taken.
    """
    group = space_group(number)
    free = _free_sizes(number, first)
    own = Counter(p.atoms for p in _unused(group, used, first))
    everyone = Counter(p.atoms for p in _unused(group, used, 0))
    sizes = sorted(own)
    for taken in product(*(range(min(own[s], need // s) + 1) for s in sizes)):
        rest = need - sum(s * n for s, n in zip(sizes, taken, strict=True))
        if rest < 0 or not _is_sum(rest, free):
            continue
        left = everyone - Counter(dict(zip(sizes, taken, strict=True)))
        if _all_fill(_free_sizes(number, 0), tuple(sorted(left.items())), later):
            return True
    return False


def has_sites(number: int, counts: Iterable[int]) -> bool:
    """Whether a primitive cell of a space group can hold these numbers of atoms of each element."""
    return _all_fill(*_signature(number), tuple(sorted(counts)))


@lru_cache(maxsize=65536)
def can_be_completed(number: int, counts: Counts, elements: int | None, sizes: range) -> bool:
    """Whether a primitive cell with some elements can hold others besides.

    Args:
        number: of the space group.
        counts: atoms of each element so far, in rising order.
        elements: how many there shall be in the end; None for any number.
        sizes: numbers of atoms that the whole cell may have.
    """
    total = sum(counts)
    if total >= sizes.stop or not has_sites(number, counts):
        return False
    if elements in (None, len(counts)) and total in sizes and counts:
        return True
    if len(counts) == elements:
        return False
    return any(
        can_be_completed(number, tuple(sorted((*counts, atoms))), elements, sizes)
        for atoms in range(1, sizes.stop - total)
    )


@lru_cache(maxsize=65536)
def groups_with_sites(counts: Counts) -> tuple[int, ...]:
    """The space groups whose primitive cells can hold these numbers of atoms of each element.

    Args:
        counts: in rising order.
    """
    return tuple(n for n in range(1, 231) if has_sites(n, counts))


@lru_cache(maxsize=65536)
def letters_that_fill(
    number: int, first: int, need: int, later: Counts, used: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """The positions of the next orbit that leave orbits for all remaining atoms.

    Args:
        number: of the space group.
        first: place of the first letter that the present element may still take.
        need: atoms of the present element that must follow, those of the next orbit included.
        later: atoms of each element behind it, in rising order.
        used: letters without free coordinates that are taken.
    """
    found = []
    for place, position in enumerate(space_group(number).positions.values()):
        if place < first or position.letter in used or position.atoms > need:
            continue
        taken = (place, used) if position.free else (place + 1, used | {position.letter})
        if can_fill(number, taken[0], need - position.atoms, later, taken[1]):
            found.append(position.letter)
    return tuple(found)


@lru_cache(maxsize=4096)
def cell_sizes(number: int, max_atoms: int, elements: int = 1) -> Counts:
    """The numbers of atoms that a primitive cell of a space group can have.

    Args:
        number: of the space group.
        max_atoms: the most to be listed.
        elements: how many elements there shall be at the least.
    """
    return tuple(n for n in range(1, max_atoms + 1) if most_orbits(number, n) >= elements)


@lru_cache(maxsize=65536)
def most_orbits(number: int, atoms: int, used: frozenset[str] = frozenset()) -> int:
    """The largest number of orbits for this many atoms; -1 if they cannot be placed."""
    group = space_group(number)
    most = [0, *[-1] * atoms]
    for position in _unused(group, used, 0):
        for total in range(atoms, position.atoms - 1, -1):
            if most[total - position.atoms] >= 0:
                most[total] = max(most[total], most[total - position.atoms] + 1)
    for size in _free_sizes(number, 0):
        for total in range(size, atoms + 1):
            if most[total - size] >= 0:
                most[total] = max(most[total], most[total - size] + 1)
    return most[atoms]


@lru_cache(maxsize=65536)
def _all_fill(free: Counts, fixed: tuple[tuple[int, int], ...], counts: Counts) -> bool:
    """Whether atoms can be placed, by the sizes of free positions and counts of fixed ones."""
    if not counts:
        return True
    need, rest = counts[-1], counts[:-1]  # the hardest first
    sizes = [size for size, _ in fixed]
    for taken in product(*(range(min(n, need // s) + 1) for s, n in fixed)):
        left = need - sum(s * n for s, n in zip(sizes, taken, strict=True))
        if left < 0 or not _is_sum(left, free):
            continue
        remaining = tuple((s, n - t) for (s, n), t in zip(fixed, taken, strict=True) if n > t)
        if _all_fill(free, remaining, rest):
            return True
    return False


def _unused(group: SpaceGroup, used: frozenset[str], first: int) -> list[WyckoffPosition]:
    positions = list(group.positions.values())[first:]
    return [p for p in positions if not p.free and p.letter not in used]


@cache
def _signature(number: int) -> tuple[Counts, tuple[tuple[int, int], ...]]:
    """Sizes of the positions with a free coordinate, and (size, how many) of those without."""
    fixed = Counter(p.atoms for p in _unused(space_group(number), frozenset(), 0))
    return _free_sizes(number, 0), tuple(sorted(fixed.items()))


@cache
def _free_sizes(number: int, first: int) -> Counts:
    positions = list(space_group(number).positions.values())[first:]
    return tuple(sorted({p.atoms for p in positions if p.free}))


@lru_cache(maxsize=65536)
def _is_sum(total: int, sizes: Counts) -> bool:
    """Whether a total is a sum of sizes, each any number of times."""
    if total == 0:
        return True
    return any(size <= total and _is_sum(total - size, sizes) for size in sizes)
