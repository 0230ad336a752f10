"""One crystal, one description: which of the equivalent origins and axes is written.

The elements of a space group's Euclidean normaliser leave the group as it is and exchange
descriptions of one crystal (International Tables A, section 3.5). Among its cosets we take the
smallest sequence of (element, letter), then the smallest coordinates in hundredths. Along polar
axes the origin lies on an atom of the first orbit. Monoclinic axes a and c are the shortest first.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from flowllm.crystals.canonical import ranks_of
from flowllm.crystals.cells import cell_parameters
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.descriptions import EquivalentDescription, described
from flowllm.symmetry.find import idealised_cell
from flowllm.symmetry.space_group import LETTERS, SpaceGroup, WyckoffPosition, space_group

SAME_LENGTH, SAME_ANGLE = 0.05, 0.5  # Å and degrees that decide nothing between two cells


def canonical(crystal: SymmetricCrystal) -> SymmetricCrystal:
    """The description of a crystal that is equal for all equivalent ones, up to rounding."""
    group = crystal.group
    ranks = ranks_of(crystal.elements)
    cells = _cells(group, crystal)
    kept = _best_cells(group, cells)
    letters, kinds = _kinds(crystal, kept, ranks)
    first = min(kinds.values())
    chosen = {place: letters[place] for place in kept if kinds[place] == first}
    found = described(crystal, chosen, cells, ranks)
    return min(found, key=lambda one: one.key).crystal(crystal)


def canonical_orbits(crystal: SymmetricCrystal) -> list[tuple[int, str]]:
    """(atomic number, letter) of the orbits in the canonical description, without writing it.

    Much faster than `canonical`, which compares coordinates too.
    """
    group = crystal.group
    kept = list(range(len(group.normalizer[0])))
    if group.family == "monoclinic":  # of others all cells are the best
        kept = _best_cells(group, _cells(group, crystal))
    ranks = ranks_of(crystal.elements)
    element = dict(zip(ranks.tolist(), crystal.elements.tolist(), strict=True))
    first = min(_kinds(crystal, kept, ranks)[1].values())
    return [(element[rank], LETTERS[place]) for rank, place in first]


def _kinds(
    crystal: SymmetricCrystal, kept: list[int], ranks: np.ndarray
) -> tuple[dict[int, list[str]], dict[int, list[tuple[int, int]]]]:
    """For each coset, the letters of the orbits, and their (rank, letter index) in order."""
    letters = {place: [_letter_map(crystal.number, place)[x] for x in crystal.letters]
               for place in kept}  # fmt: skip
    kinds = {
        place: sorted(zip(ranks.tolist(), map(LETTERS.index, found), strict=True))
        for place, found in letters.items()
    }
    return letters, kinds


def equivalents(crystal: SymmetricCrystal) -> list[SymmetricCrystal]:
    """One description per coset of the normaliser, in the crystal's canonical cell."""
    group = crystal.group
    ranks = ranks_of(crystal.elements)
    cells = _cells(group, crystal)
    kept = _best_cells(group, cells)
    found = described(crystal, _kinds(crystal, kept, ranks)[0], cells, ranks)
    best: dict[int, EquivalentDescription] = {}
    for one in found:
        if one.place not in best or one.key < best[one.place].key:
            best[one.place] = one
    return [best[place].crystal(crystal) for place in kept]


def _cells(group: SpaceGroup, crystal: SymmetricCrystal) -> np.ndarray:
    """(m, 6) lengths and angles after the change of axes of each coset."""
    parameters = cell_parameters(_changes_of_axes(group.number) @ crystal.lattice)
    return np.concatenate(idealised_cell(group, *parameters), -1)


@cache
def _changes_of_axes(number: int) -> np.ndarray:
    """(m, 3, 3) by which a lattice, vectors as rows, is multiplied for each coset."""
    return np.linalg.inv(space_group(number).normalizer[0]).transpose(0, 2, 1)


def _best_cells(group: SpaceGroup, cells: np.ndarray) -> list[int]:
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
    """The image of each Wyckoff letter under each coset of the normaliser."""
    return [_letter_map(number, place) for place in range(len(space_group(number).normalizer[0]))]


@cache
def _letter_map(number: int, place: int) -> dict[str, str]:
    """The image of each letter under a coset of the normaliser."""
    group = space_group(number)
    turn, shift = (part[place] for part in group.normalizer)
    found = dict.fromkeys(group.positions, "")
    # three points, since one alone may lie on another position by chance
    values = np.array([[0.1373, 0.2291, 0.3187], [0.0713, 0.4637, 0.3129], [0.41, 0.053, 0.17]])
    alike: dict[int, list[WyckoffPosition]] = {}
    for position in group.positions.values():
        alike.setdefault(position.multiplicity, []).append(position)
    for positions in alike.values():
        points = np.stack([p.place(values[:, list(p.free)]) for p in positions]) @ turn.T + shift
        images = points[:, None] @ group.rotations.transpose(0, 2, 1)
        images += group.translations[:, None]  # (positions, operations, points, 3)
        for other in positions:
            misfits = np.abs(other.fits(images.reshape(-1, 3))[1]).max(-1)
            same = (misfits < 1e-6).reshape(images.shape[:3]).any(1).all(1)
            for place in np.flatnonzero(same).tolist():
                found[positions[place].letter] = found[positions[place].letter] or other.letter
    return found
