"""Which atoms are on each other in a symmetric crystal that is being written.

All atoms of an orbit see the same surroundings, so one of each is looked at.
"""

from __future__ import annotations

import itertools

import numpy as np

from flowllm.crystals.contacts import shortest_allowed
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.space_group import SpaceGroup, WyckoffPosition

CLOSEST = 0.97
"""Of the shortest contact that is allowed: what the text's rounding may take from it.

Of 390 validation crystals 4.4 % have a shorter contact than is allowed; written and read 7.9 %,
1.3 % by this share of it.
"""
_CORNERS = np.array(list(itertools.product((0, -1), repeat=3)))
_STEPS = np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)])


class Surroundings:
    """The orbits of a crystal so far, in a cell or in several that are still to choose from.

    Args:
        group: the space group.
        lattices: (C, 3, 3) in Å, vectors as rows.
    """

    def __init__(self, group: SpaceGroup, lattices: np.ndarray) -> None:
        self.group, self.lattices = group, lattices
        self.coords: np.ndarray = np.zeros((0, 3))
        self.numbers: np.ndarray = np.zeros(0, dtype=np.int64)

    def add(self, number: int, position: WyckoffPosition, point: np.ndarray) -> None:
        """Put an orbit into the cell."""
        images = self._images(position, point[None])[0]
        self.coords = np.concatenate([self.coords, images])
        self.numbers = np.append(self.numbers, [number] * len(images))

    def clearance(self, number: int, position: WyckoffPosition, points: np.ndarray) -> np.ndarray:
        """(C, K) shortest contact over the shortest allowed, of K places of an orbit's first atom.

        Contacts are those with the orbits so far, with the orbit's other atoms, and with the atom's
        own images.

        Args:
            number: atomic number of the orbit.
            position: its Wyckoff position.
            points: (K, 3) on its first triplet.
        """
        allowed = shortest_allowed()
        images = self._images(position, points)  # (K, m, 3)
        with_others = points[:, None] - self.coords[None]  # (K, P, 3)
        with_own = points[:, None] - images[:, 1:]
        least = np.concatenate([
            allowed[number, self.numbers], np.full(with_own.shape[1], allowed[number, number])
        ])  # fmt: skip
        gaps = np.concatenate([with_others, with_own], 1)
        found = np.empty((len(self.lattices), len(points)))
        for place, lattice in enumerate(self.lattices):
            ratio = np.linalg.norm(_STEPS @ lattice, axis=-1).min() / allowed[number, number]
            found[place] = ratio
            if gaps.shape[1]:
                distances = _shortest(gaps, lattice)
                found[place] = np.minimum(ratio, (distances / least).min(1))
        return found

    def _images(self, position: WyckoffPosition, points: np.ndarray) -> np.ndarray:
        """(K, m, 3) all atoms of an orbit in the conventional cell, the point itself first."""
        group = self.group
        turned = np.einsum("mij,kj->kmi", group.rotations[position.images], points)
        images = turned + group.translations[position.images]
        centring = group.centring_vectors
        return (images[:, None] + centring[None, :, None]).reshape(len(points), -1, 3)


def closest(crystal: SymmetricCrystal) -> float:
    """The shortest contact of a crystal over the shortest that is allowed for its elements."""
    around = Surroundings(crystal.group, crystal.lattice[None])
    orbits = list(zip(crystal.elements.tolist(), crystal.positions, crystal.coords, strict=True))
    least = np.inf
    for number, position, point in orbits:
        least = min(least, float(around.clearance(number, position, point[None])[0, 0]))
        around.add(number, position, point)
    return least


def _shortest(gaps: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Distances in Å of the nearest images of fractional differences (..., 3)."""
    metric = lattice @ lattice.T
    if np.allclose(metric, np.diag(np.diag(metric)), atol=1e-6):
        return np.linalg.norm((gaps - np.round(gaps)) @ lattice, axis=-1)
    near = (gaps - np.floor(gaps)) @ lattice
    corners = (_CORNERS @ lattice)[(slice(None), *[None] * (gaps.ndim - 1))]
    squared = ((near[None] + corners) ** 2).sum(-1)
    return np.sqrt(squared.min(0))
