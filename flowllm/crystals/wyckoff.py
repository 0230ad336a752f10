"""Which cells a space group has sites for: its Wyckoff positions, counted in the primitive cell.

A position without free coordinates is taken once at most, by one element; one with a free
coordinate any number of times (International Tables for Crystallography A, section 1.4.4).
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from itertools import product

_CENTRING = {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "F": 4, "R": 3}
"""First letter of a Hermann-Mauguin symbol -> lattice points in the conventional cell."""


def has_sites(space_group: int, counts: Iterable[int]) -> bool:
    """Whether a primitive cell of a space group can hold these numbers of atoms.

    Args:
        space_group: international number, 1 to 230.
        counts: atoms of each element in the primitive cell.
    """
    return _has_sites(space_group, tuple(sorted(counts, reverse=True)))


@lru_cache(maxsize=4096)
def cell_sizes(space_group: int, max_atoms: int, elements: int = 1) -> tuple[int, ...]:
    """The numbers of atoms that a primitive cell of a space group can have.

    Args:
        space_group: international number, 1 to 230.
        max_atoms: the most to be listed.
        elements: how many elements there shall be at the least.
    """
    fixed, free = _positions(space_group)
    most = [0, *[-1] * max_atoms]  # orbits that so many atoms can be made of, at most
    for size, times in fixed:
        for _ in range(times):
            for total in range(max_atoms, size - 1, -1):
                if most[total - size] >= 0:
                    most[total] = max(most[total], most[total - size] + 1)
    for size in free:
        for total in range(size, max_atoms + 1):
            if most[total - size] >= 0:
                most[total] = max(most[total], most[total - size] + 1)
    return tuple(n for n in range(1, max_atoms + 1) if most[n] >= elements)


@lru_cache(maxsize=65536)
def _has_sites(space_group: int, counts: tuple[int, ...]) -> bool:
    fixed, free = _positions(space_group)
    by_free = {0}  # sums of positions with a free coordinate
    for size in free:
        for total in range(size, max(counts, default=0) + 1):
            if total - size in by_free:
                by_free.add(total)
    sizes = [size for size, _ in fixed]

    @cache
    def place(element: int, left: tuple[int, ...]) -> bool:
        if element == len(counts):
            return True
        atoms = counts[element]
        ranges = (range(min(n, atoms // s) + 1) for s, n in zip(sizes, left, strict=True))
        for used in product(*ranges):
            rest = atoms - sum(s * n for s, n in zip(sizes, used, strict=True))
            if rest in by_free and place(
                element + 1, tuple(n - u for n, u in zip(left, used, strict=True))
            ):
                return True
        return False

    return place(0, tuple(times for _, times in fixed))


@cache
def _positions(space_group: int) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """((atoms, how many such positions), …) without a free coordinate; atoms of the others."""
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    points = _CENTRING[sg_symbol_from_int_number(space_group)[0]]
    multiplicities, free = (_table(name)[str(space_group)] for name in ("multiplicities", "params"))
    atoms = {letter: count // points for letter, count in multiplicities.items()}
    fixed = Counter(n for letter, n in atoms.items() if not free[letter])
    moving = {n for letter, n in atoms.items() if free[letter]}
    return tuple(sorted(fixed.items())), tuple(sorted(moving))


@cache
def _table(name: str) -> dict[str, dict[str, int]]:
    """pymatgen's table of Wyckoff positions (Goodall et al., Sci. Adv. 8, eabn4117 (2022)).

    Read from its file, since importing the module around it loads the whole AFLOW library.
    """
    file = files("pymatgen.analysis") / "prototypes" / f"wyckoff-position-{name}.json.gz"
    table: dict[str, dict[str, int]] = json.loads(gzip.decompress(file.read_bytes()))
    return table
