"""Overlap of atoms in a symmetric crystal being written.

All atoms of an orbit see the same surroundings, so one of each is looked at.
"""

from __future__ import annotations

import itertools
from functools import cache, lru_cache

import numpy as np

from flowllm.crystals.contacts import shortest_allowed
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.space_group import Family, SpaceGroup, WyckoffPosition, space_group

CLOSEST = 0.97
"""Of the shortest contact that is allowed: what the text's rounding may take from it.

Of 390 validation crystals 4.4 % have a shorter contact than is allowed; written and read 7.9 %,
1.3 % by this share of it.
"""
OBLIQUE: dict[Family, tuple[int, ...]] = {
    "triclinic": (0, 1, 2), "monoclinic": (0, 2), "hexagonal": (0, 1),
}  # fmt: skip
"""Axes that are not at right angles to both others; in all other families there are none."""
SAME = 9  # decimals by which two clearances are equal
STEPS = np.array([s for s in itertools.product((-1, 0, 1), repeat=3) if s > (0, 0, 0)], dtype=float)
"""(13, 3) short translations, one of each pair of opposite ones."""


class Surroundings:
    """The orbits of a crystal so far.

    Args:
        group: the space group.
        lattice: (3, 3) of the conventional cell in Å, vectors as rows.
    """

    def __init__(self, group: SpaceGroup, lattice: np.ndarray) -> None:
        self.group, self.lattice = group, lattice
        self.coords: np.ndarray = np.zeros((0, 3))
        self.numbers: np.ndarray = np.zeros(0, dtype=np.int64)
        self._squared_step = ((STEPS @ lattice) ** 2).sum(-1).min()
        corners, self._half = corners_of(group.family)
        places = corners @ lattice
        self._twice, self._own = 2 * places.T, (places**2).sum(-1)

    def add(self, number: int, position: WyckoffPosition, point: np.ndarray) -> None:
        """Put an orbit into the cell."""
        images = images_of(self.group.number, position.letter, point[None])[0]
        self.coords = np.concatenate([self.coords, images])
        self.numbers = np.append(self.numbers, [number] * len(images))

    def clearance(self, number: int, position: WyckoffPosition, points: np.ndarray) -> np.ndarray:
        """(K,) shortest contact over the shortest allowed, for K positions of an orbit's atom.

        Contacts are those with the orbits so far, with the orbit's other atoms, and with the atom's
        own images.

        Args:
            number: atomic number of the orbit.
            position: its Wyckoff position.
            points: (K, 3) on its first triplet.
        """
        allowed = squared_allowed()[number]
        least = np.full(len(points), self._squared_step / allowed[number])
        own = images_of(self.group.number, position.letter, points)[:, 1:]
        for others, limits in ((self.coords[None], allowed[self.numbers]), (own, allowed[number])):
            if others.shape[1]:
                squared = self._squared(points[:, None] - others)
                least = np.minimum(least, (squared / limits).min(1))
        return np.sqrt(least)

    def _squared(self, gaps: np.ndarray) -> np.ndarray:
        """(K, M) Å^2 between nearest images, of fractional differences (K, M, 3)."""
        near = (gaps - np.floor(gaps + self._half)).reshape(-1, 3) @ self.lattice
        squared = (near**2).sum(-1)
        if len(self._own) > 1:  # (near + corner)^2, the corner at 0 among them
            squared += (near @ self._twice + self._own).min(-1)
        return np.maximum(squared, 0.0).reshape(gaps.shape[:2])


def closest(crystal: SymmetricCrystal) -> float:
    """The shortest contact of a crystal over the shortest that is allowed for its elements."""
    around = Surroundings(crystal.group, crystal.lattice)
    orbits = list(zip(crystal.elements.tolist(), crystal.positions, crystal.coords, strict=True))
    least = np.inf
    for number, position, point in orbits:
        least = min(least, float(around.clearance(number, position, point[None])[0]))
        around.add(number, position, point)
    return least


def roomiest(clearance: np.ndarray) -> int:
    """The position of the largest clearance (K,); the first of equal ones, despite rounding."""
    return int(np.round(clearance, SAME).argmax())


def images_of(group: int, letter: str, points: np.ndarray) -> np.ndarray:
    """(K, m, 3) all atoms of an orbit in the conventional cell, the point itself first.

    Args:
        group: number of the space group.
        letter: of the Wyckoff position.
        points: (K, 3) on its first triplet.
    """
    turns, shifts = _operations(group, letter)
    return (points @ turns).reshape(len(points), -1, 3) + shifts


@cache
def corners_of(family: Family) -> tuple[np.ndarray, np.ndarray]:
    """Where the nearest image of an atom may be.

    Returns:
        (V, 3) translations to try beside a fractional difference that is cut to [0, 1) along
        oblique axes and to [-1/2, 1/2) along the others, the zero one among them; and (3,) what
        is added before it is cut.
    """
    oblique = OBLIQUE.get(family, ())
    ends = [(0.0, -1.0) if axis in oblique else (0.0,) for axis in range(3)]
    half = np.array([0.0 if axis in oblique else 0.5 for axis in range(3)])
    return np.array(list(itertools.product(*ends))), half


@cache
def squared_allowed() -> np.ndarray:
    """(119, 119) Å^2 by atomic numbers: squares of the shortest contacts that are allowed."""
    return shortest_allowed() ** 2


@lru_cache(maxsize=4096)
def _operations(group: int, letter: str) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3 m) and (m, 3): points (K, 3) @ the first, cut in threes, + the second give orbits."""
    whole = space_group(group)
    images = whole.positions[letter].images
    shifts = (whole.translations[images] + whole.centring_vectors[:, None]).reshape(-1, 3)
    turns = np.tile(whole.rotations[images], (len(whole.centring_vectors), 1, 1))
    return turns.transpose(2, 0, 1).reshape(3, -1), shifts
