"""The equivalent descriptions of a crystal, and the key that selects the canonical one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.space_group import LETTERS, SpaceGroup

HUNDREDTHS = 100
FENCE = 3e-3  # of a hundredth: what lies so near below a boundary is rounded up with it

Key = tuple[tuple[int, ...], ...]


def steps_of(values: np.ndarray) -> np.ndarray:
    """Coordinates in hundredths, 0 to 99, int64 of the same shape."""
    return np.floor(values * HUNDREDTHS + 0.5 + FENCE).astype(np.int64) % HUNDREDTHS


@dataclass(frozen=True)
class EquivalentDescription:
    """A crystal in one of its equivalent descriptions.

    Attributes:
        place: of the coset.
        key: by which descriptions are compared.
        cell: (6,) lengths and angles.
        orbits: (element, letter, values of the free coordinates) of each orbit, in order.
    """

    place: int
    key: Key
    cell: np.ndarray
    orbits: list[tuple[int, str, np.ndarray]]

    def crystal(self, of: SymmetricCrystal) -> SymmetricCrystal:
        """The crystal that is described."""
        positions = of.group.positions
        return SymmetricCrystal(
            of.number, self.cell[:3], self.cell[3:], np.array([row[0] for row in self.orbits]),
            tuple(row[1] for row in self.orbits),
            np.array([positions[letter].place(values) for _, letter, values in self.orbits]),
        )  # fmt: skip


def described(
    crystal: SymmetricCrystal, letters: dict[int, list[str]], cells: np.ndarray, ranks: np.ndarray
) -> list[EquivalentDescription]:
    """The descriptions by some cosets, one for each origin along polar axes.

    Args:
        crystal: whose they are.
        letters: place of a coset -> the letters of the orbits.
        cells: (m, 6) cells of all cosets.
        ranks: of the orbits' elements.
    """
    group = crystal.group
    kinds = {
        place: [(rank, LETTERS.index(x)) for rank, x in zip(ranks.tolist(), own, strict=True)]
        for place, own in letters.items()
    }
    places, rows = [], []
    for place, own in letters.items():
        points = crystal.coords @ group.normalizer[0][place].T + group.normalizer[1][place]
        for origin in _origins(group, points, own, kinds[place]):
            places.append(place)
            rows.append(points - origin)
    moved = np.array(rows)  # (candidates, orbits, 3)
    named = np.array([letters[place] for place in places])
    steps: np.ndarray = np.zeros(moved.shape, dtype=np.int64)
    values: np.ndarray = np.zeros(moved.shape)
    for letter in np.unique(named).tolist():
        chosen = named == letter
        free = len(group.positions[letter].free)
        values[chosen, :free], steps[chosen, :free] = _smallest(group, letter, moved[chosen])
    elements, found = crystal.elements.tolist(), []
    for row, place in enumerate(places):
        own, sizes = letters[place], [len(group.positions[x].free) for x in letters[place]]
        keys = [tuple(k[:size]) for k, size in zip(steps[row].tolist(), sizes, strict=True)]
        pairs = list(zip(kinds[place], keys, strict=True))
        order = sorted(range(len(own)), key=pairs.__getitem__)
        cell = cells[place]
        key = (*(keys[k] for k in order), tuple(np.round(cell * 10).astype(int).tolist()))
        orbits = [(elements[k], own[k], values[row, k, : sizes[k]]) for k in order]
        found.append(EquivalentDescription(place, key, cell, orbits))
    return found


def _origins(
    group: SpaceGroup,
    points: np.ndarray,
    letters: list[str],
    kinds: list[tuple[int, int]],
) -> list[np.ndarray]:
    """Shifts along the polar axes that put an atom of a first orbit at 0; (0, 0, 0) without any."""
    if not group.polar.any():
        return [np.zeros(3)]
    first, found = min(kinds), []
    for point, letter, kind in zip(points, letters, kinds, strict=True):
        if kind == first:
            values, fitting = _values(group, letter, point[None])
            for row in group.positions[letter].place(values[0, fitting[0]]):
                found.append(np.where(group.polar, row, 0.0))
    return found


def _smallest(group: SpaceGroup, letter: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest image of each of N points by hundredths: values (N, F), and hundredths."""
    values, fitting = _values(group, letter, points)
    steps = steps_of(values)
    order = (steps * HUNDREDTHS ** np.arange(steps.shape[-1])[::-1]).sum(-1)
    best = np.where(fitting, order, HUNDREDTHS**3).argmin(1)[:, None, None]
    return np.take_along_axis(values, best, 1)[:, 0], np.take_along_axis(steps, best, 1)[:, 0]


def _values(group: SpaceGroup, letter: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, k, F) the free coordinates of the images of N points, if they lay on the first triplet.

    Returns:
        Also (N, k) whether they do.
    """
    images = np.einsum("kij,nj->nki", group.rotations, points) + group.translations
    values, misfits = group.positions[letter].fits(images.reshape(-1, 3))
    fitting = np.abs(misfits).max(-1) < 1e-4
    return values.reshape(*images.shape[:2], -1), fitting.reshape(images.shape[:2])
