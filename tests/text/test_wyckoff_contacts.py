"""Contacts in symmetric crystals: of all orbits in one cell, of the fixed ones in many."""

import numpy as np
import pytest

from flowllm.crystals.cells import lattice_matrices
from flowllm.crystals.contacts import shortest_allowed, shortest_contacts
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.filling import (
    can_fill,
    groups_with_sites,
    has_sites,
    letters_that_fill,
)
from flowllm.symmetry.space_group import LETTERS, space_group
from flowllm.text.formats.wyckoff.contacts import Surroundings, closest
from flowllm.text.formats.wyckoff.fixed import clearance_of_fixed, metrics_of
from tests.symmetry.random_crystals import GROUPS, random_cell, random_crystal


@pytest.mark.parametrize("number", GROUPS)
def test_the_closest_contact_is_that_of_all_pairs_of_atoms(number):
    crystal = random_crystal(number, np.random.default_rng(number))
    found = shortest_contacts(crystal.to_primitive(), 12.0)
    ratios = found.distance / shortest_allowed()[found.first, found.second]
    assert closest(crystal) == pytest.approx(ratios.min(), rel=1e-6)


@pytest.mark.parametrize("number", [n for n in GROUPS if any(
    not p.free for p in space_group(n).positions.values())])  # fmt: skip
def test_fixed_orbits_have_in_each_cell_the_contacts_of_a_crystal(number):
    rng = np.random.default_rng(number)
    group = space_group(number)
    letters = [x for x, p in group.positions.items() if not p.free][:3]
    elements = [8, 22, 56][: len(letters)]
    coords = np.array([group.positions[x].constant for x in letters])
    cells = [random_cell(number, rng) for _ in range(5)]
    lengths, angles = (np.array([cell[k] for cell in cells], float) for k in range(2))
    found = clearance_of_fixed(
        number, tuple(zip(elements, letters, strict=True)), metrics_of(lengths, angles)
    )
    expected = [
        closest(SymmetricCrystal(number, *cell, np.array(elements), tuple(letters), coords))
        for cell in cells
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isinf(clearance_of_fixed(number, (), metrics_of(lengths, angles))).all()


def test_many_places_of_an_orbit_are_looked_at_as_one_alone():
    rng = np.random.default_rng(0)
    for number in (1, 14, 62, 139, 166, 194, 227):
        group = space_group(number)
        lengths, angles = random_cell(number, rng)
        lattice = lattice_matrices(lengths[None].astype(float), angles[None].astype(float))[0]
        around = Surroundings(group, lattice)
        position = list(group.positions.values())[-1]
        around.add(22, position, np.array([0.11, 0.23, 0.07]))
        points = rng.random((20, 3))
        together = around.clearance(8, position, points)
        alone = [around.clearance(8, position, point[None])[0] for point in points]
        np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_letters_are_those_behind_which_the_rest_finds_orbits():
    for number, first, need, later, used in (
        (225, 0, 1, (1, 2), frozenset()),
        (225, 1, 2, (2,), frozenset("a")),
        (62, 0, 4, (4, 12), frozenset()),
        (221, 0, 3, (1, 1), frozenset("ab")),
        (1, 0, 3, (2,), frozenset()),
        (136, 1, 4, (2,), frozenset()),
    ):
        positions = space_group(number).positions
        expected = []
        for letter, position in positions.items():
            place = LETTERS.index(letter)
            if place < first or letter in used or position.atoms > need:
                continue
            taken = used if position.free else used | {letter}
            start = place if position.free else place + 1
            if can_fill(number, start, need - position.atoms, later, taken):
                expected.append(letter)
        assert list(letters_that_fill(number, first, need, later, used)) == expected
    assert letters_that_fill(225, 0, 1, (1, 2)) == ("a", "b")
    assert letters_that_fill(225, 0, 1, (1, 1, 1)) == ()


def test_groups_with_sites_are_those_that_have_them():
    for counts in ((1, 1, 3), (2,), (4, 4, 12), (7,)):
        found = groups_with_sites(counts)
        assert found == tuple(n for n in range(1, 231) if has_sites(n, counts))
    assert 229 not in groups_with_sites((2,)) and 227 in groups_with_sites((2,))
