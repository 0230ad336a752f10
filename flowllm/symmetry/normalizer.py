"""One crystal, one description: which of the equivalent origins and axes is written.

The elements of a space group's Euclidean normaliser leave the group as it is and exchange
descriptions of one crystal (International Tables A, section 3.5). Among its cosets we take the
smallest sequence of (element, letter), then the smallest coordinates in hundredths. Along polar
axes the origin lies on an atom of the first orbit. Monoclinic axes a and c are the shortest first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from flowllm.crystals.canonical import ranks_of
from flowllm.crystals.cells import cell_parameters
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import idealised_cell
from flowllm.symmetry.space_group import LETTERS, SpaceGroup, space_group

HUNDREDTHS = 100
FENCE = 3e-3  # of a hundredth: what lies so near below a boundary is rounded up with it
SAME_LENGTH, SAME_ANGLE = 0.05, 0.5  # Å and degrees that decide nothing between two cells

Key = tuple[tuple[int, ...], ...]


def steps_of(values: np.ndarray) -> np.ndarray:
    """Coordinates in hundredths, 0 to 99, int64 of the same shape."""
    return np.floor(values * HUNDREDTHS + 0.5 + FENCE).astype(np.int64) % HUNDREDTHS


def canonical(crystal: SymmetricCrystal) -> SymmetricCrystal:
    """The description of a crystal that is equal for all equivalent ones, up to rounding."""
    group = crystal.group
    ranks = ranks_of(crystal.elements)
    cells = [_cell(group, crystal, place) for place in range(len(group.normalizer[0]))]
    kept = _best_cells(group, cells)
    letters, kinds = _kinds(crystal, kept, ranks)
    first = min(kinds.values())
    best: tuple[Key, SymmetricCrystal] | None = None
    for place in kept:
        if kinds[place] != first:
            continue
        for key, moved in _described(crystal, place, letters[place], cells[place], ranks):
            if best is None or key < best[0]:
                best = (key, moved)
    assert best is not None  # the identity is among the cosets
    return best[1]


def canonical_orbits(crystal: SymmetricCrystal) -> list[tuple[int, str]]:
    """(atomic number, letter) of the orbits in the canonical description, which stays unwritten.

    Much faster than `canonical`, which compares coordinates too.
    """
    group = crystal.group
    kept = list(range(len(group.normalizer[0])))
    if group.family == "monoclinic":  # of others all cells are the best
        kept = _best_cells(group, [_cell(group, crystal, place) for place in kept])
    ranks = ranks_of(crystal.elements)
    element = dict(zip(ranks.tolist(), crystal.elements.tolist(), strict=True))
    first = min(_kinds(crystal, kept, ranks)[1].values())
    return [(element[rank], LETTERS[place]) for rank, place in first]


def _kinds(
    crystal: SymmetricCrystal, kept: list[int], ranks: np.ndarray
) -> tuple[dict[int, list[str]], dict[int, list[tuple[int, int]]]]:
    """By coset, the letters of the orbits, and (rank, place of the letter) of them in order."""
    letters = {place: [_letter_map(crystal.number, place)[x] for x in crystal.letters]
               for place in kept}  # fmt: skip
    kinds = {
        place: sorted(zip(ranks.tolist(), map(LETTERS.index, found), strict=True))
        for place, found in letters.items()
    }
    return letters, kinds


def equivalents(crystal: SymmetricCrystal) -> list[SymmetricCrystal]:
    """One description for each coset of the normaliser, in the crystal's canonical cell."""
    group = crystal.group
    ranks = ranks_of(crystal.elements)
    cells = [_cell(group, crystal, place) for place in range(len(group.normalizer[0]))]
    found = []
    for place in _best_cells(group, cells):
        letters = [_letter_map(group.number, place)[letter] for letter in crystal.letters]
        described = _described(crystal, place, letters, cells[place], ranks)
        found.append(min(described, key=lambda pair: pair[0])[1])
    return found


def _cell(group: SpaceGroup, crystal: SymmetricCrystal, place: int) -> np.ndarray:
    """(6,) lengths and angles behind the change of axes of a coset."""
    turn = group.normalizer[0][place]
    lengths, angles = cell_parameters(np.linalg.inv(turn).T @ crystal.lattice)
    return np.concatenate(idealised_cell(group, lengths, angles))


def _best_cells(group: SpaceGroup, cells: list[np.ndarray]) -> list[int]:
    """Cosets with the shortest axes a and c and the least obtuse β; of other families all."""
    places = list(range(len(cells)))
    if group.family != "monoclinic":
        return places
    obtuse = [p for p in places if cells[p][4] >= 90 - SAME_ANGLE] or places
    least = min(cells[p][0] + cells[p][2] for p in obtuse)
    short = [p for p in obtuse if cells[p][0] + cells[p][2] < least + SAME_LENGTH]
    bend = {p: abs(cells[p][4] - 90) for p in short}  # 89.6° and 90.4° are of one crystal
    least = min(bend.values())
    return [p for p in short if bend[p] < least + SAME_ANGLE]


def letter_maps(number: int) -> list[dict[str, str]]:
    """Which letter each Wyckoff letter becomes, by each coset of the normaliser."""
    return [_letter_map(number, place) for place in range(len(space_group(number).normalizer[0]))]


@cache
def _letter_map(number: int, place: int) -> dict[str, str]:
    """Which letter each letter becomes by a coset of the normaliser."""
    group = space_group(number)
    turn, shift = (part[place] for part in group.normalizer)
    found = {}
    for letter, position in group.positions.items():
        # three points, since one alone may lie on another position by chance
        values = np.array([[0.1373, 0.2291, 0.3187], [0.0713, 0.4637, 0.3129], [0.41, 0.053, 0.17]])
        points = position.place(values[:, list(position.free)]) @ turn.T + shift
        found[letter] = next(
            other.letter
            for other in group.positions.values()
            if other.multiplicity == position.multiplicity
            and all(_fits(group, other.letter, point) for point in points)
        )
    return found


def _fits(group: SpaceGroup, letter: str, point: np.ndarray) -> bool:
    images = group.rotations @ point + group.translations
    misfits = group.positions[letter].fits(images)[1]
    return bool((np.abs(misfits).max(-1) < 1e-6).any())


def _described(
    crystal: SymmetricCrystal,
    place: int,
    letters: list[str],
    cell: np.ndarray,
    ranks: np.ndarray,
) -> Iterator[tuple[Key, SymmetricCrystal]]:
    """The descriptions by one coset, one for each origin along polar axes, with their keys."""
    group = crystal.group
    turn, shift = (part[place] for part in group.normalizer)
    points = crystal.coords @ turn.T + shift
    kinds = [(rank, LETTERS.index(x)) for rank, x in zip(ranks.tolist(), letters, strict=True)]
    for origin in _origins(group, points, letters, kinds):
        described = []
        for point, letter, kind, element in zip(
            points - origin, letters, kinds, crystal.elements.tolist(), strict=True
        ):
            values = _values(group, letter, point)
            steps = steps_of(values)
            order = np.lexsort(steps.T[::-1])[0] if steps.shape[1] else 0
            described.append((kind, tuple(steps[order].tolist()), element, letter, values[order]))
        described.sort(key=lambda row: row[:2])
        key = (*(row[1] for row in described), tuple(np.round(cell * 10).astype(int).tolist()))
        coords = [group.positions[letter].place(v) for _, _, _, letter, v in described]
        yield key, SymmetricCrystal(
            group.number, cell[:3], cell[3:], np.array([row[2] for row in described]),
            tuple(row[3] for row in described), np.array(coords),
        )  # fmt: skip


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
            position = group.positions[letter]
            for row in position.place(_values(group, letter, point)):
                found.append(np.where(group.polar, row, 0.0))
    return found


def _values(group: SpaceGroup, letter: str, point: np.ndarray) -> np.ndarray:
    """(K, F) the free coordinates of all images of a point that lie on the first triplet."""
    position = group.positions[letter]
    images = group.rotations @ point + group.translations
    values, misfits = position.fits(images)
    return values[np.abs(misfits).max(-1) < 1e-4]
