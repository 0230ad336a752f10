"""Contacts of element pairs against pymatgen's neighbour search, and the table of the shortest."""

import itertools

import numpy as np
import pytest
from ase.data import covalent_radii
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from flowllm.crystals import contacts
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.contacts import CUTOFF, radii, shortest_allowed, shortest_contacts
from flowllm.crystals.elements import NUMBER_OF

NA, CL, F = NUMBER_OF["Na"], NUMBER_OF["Cl"], NUMBER_OF["F"]


def rock_salt(length):
    a = length / np.sqrt(2)
    coords = [[0, 0, 0], [0.5, 0.5, 0.5]]
    return CrystalBatch([NA, CL], coords, [[a] * 3], [[60] * 3], [2], ["NaCl"])


@st.composite
def crystals(draw):
    """One crystal of 1 to 5 atoms of three elements in a cell that is often far from reduced."""
    length, angle = st.floats(1.5, 7.0), st.floats(40.0, 130.0)
    lengths, angles = draw(st.tuples(length, length, length)), draw(st.tuples(angle, angle, angle))
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from([3, 8, 26]), *[st.floats(0, 0.999)] * 3),
            min_size=1,
            max_size=5,
        )
    )
    numbers, coords = [row[0] for row in rows], [row[1:] for row in rows]
    return CrystalBatch(numbers, coords, [lengths], [angles], [len(rows)], ["x"])


def by_pymatgen(crystal):
    """{pair of atomic numbers: shortest distance within the cutoff} by `get_neighbor_list`."""
    numbers = crystal.atomic_numbers
    structure = Structure(Lattice(crystal.lattices[0]), list(numbers), crystal.frac_coords)
    centres, others, images, distances = structure.get_neighbor_list(CUTOFF, exclude_self=False)
    found = {}
    for i, j, image, distance in zip(centres, others, images, distances, strict=True):
        if i != j or image.any():
            pair = tuple(sorted((int(numbers[i]), int(numbers[j]))))
            found[pair] = min(found.get(pair, np.inf), distance)
    return found


@settings(max_examples=60, deadline=None)
@given(crystal=crystals())
def test_every_pair_of_elements_has_the_distance_that_pymatgen_finds(crystal):
    if crystal.volumes[0] < 0.1 * crystal.lengths.prod():
        return
    ours, theirs = shortest_contacts(crystal), by_pymatgen(crystal)
    pairs = zip(ours.first.tolist(), ours.second.tolist(), strict=True)
    rows = dict(zip(pairs, ours.distance, strict=True))
    kinds = sorted({int(n) for n in crystal.atomic_numbers})
    assert set(rows) == set(itertools.combinations_with_replacement(kinds, 2))
    for pair, distance in rows.items():
        expected = theirs.get(pair, np.inf)
        if min(distance, expected) < CUTOFF - 1e-6:
            assert distance == pytest.approx(expected, abs=1e-6)


def test_a_batch_gives_each_crystal_its_own_contacts():
    found = shortest_contacts(CrystalBatch.concatenate([rock_salt(5.64), rock_salt(4.0)]))
    assert found.crystal.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.distance == pytest.approx(
        [3.988, 2.82, 3.988, 2.828, 2.0, 2.828], abs=1e-3
    )  # Na-Na, Na-Cl, Cl-Cl in the order of the atomic numbers
    total = 1.66 + 1.02
    assert found.shortest_ratio == pytest.approx([2.82 / total, 2.0 / total], abs=1e-3)


def test_images_of_the_same_atom_count():
    copper = CrystalBatch([29], [[0, 0, 0]], [[2.556] * 3], [[60] * 3], [1], ["Cu"])
    assert shortest_contacts(copper).distance == pytest.approx([2.556])


def test_a_cell_without_volume_has_no_contacts():
    flat = CrystalBatch([29], [[0, 0, 0]], [[3, 3, 3]], [[60, 60, 120]], [1], ["flat"])
    found = shortest_contacts(CrystalBatch.concatenate([flat, rock_salt(5.64)]))
    assert found.crystal.tolist() == [1, 1, 1]
    assert np.isnan(found.shortest_ratio[0]) and np.isnan(found.margin[0])


def test_radii_are_those_of_ase():
    assert radii()[:97] == pytest.approx(covalent_radii[:97])
    assert len(radii()) == 119 == len(shortest_allowed())


def test_known_crystals_pass_and_squeezed_ones_do_not():
    found = shortest_contacts(CrystalBatch.concatenate([rock_salt(5.64), rock_salt(4.0)]))
    assert found.margin[0] > 0 > found.margin[1]


def test_fluorine_molecules_are_too_short_though_radii_let_them_pass():
    """F-F of 1.39 Å is 1.22 times the sum of the radii, and no fluoride of MP-20 has it."""
    apart = 1.39 / 6
    pair = CrystalBatch([F, F], [[0, 0, 0], [apart, 0, 0]], [[6] * 3], [[90] * 3], [2], ["F2"])
    found = shortest_contacts(pair)
    assert found.shortest_ratio[0] > 1.2
    assert found.margin[0] < 0


def test_allowed_distances_are_symmetric_and_bounded():
    allowed = shortest_allowed()
    assert (allowed == allowed.T).all()
    assert (allowed > 0).all() and (allowed <= CUTOFF).all()


def test_a_table_is_fitted_to_common_pairs_and_pools_the_rare_ones(tmp_path, monkeypatch):
    lengths = np.linspace(5.0, 6.0, 101)
    training = CrystalBatch.concatenate(
        [rock_salt(x) for x in lengths]
        + [CrystalBatch([29], [[0, 0, 0]], [[2.0] * 3], [[60] * 3], [1], ["Cu"])]
    )
    file = tmp_path / "contacts.npz"
    contacts.write_table(training, file)
    monkeypatch.setattr(contacts, "TABLE", file)
    shortest_allowed.cache_clear()
    try:
        allowed = shortest_allowed()
    finally:
        shortest_allowed.cache_clear()
    # the 0.5 % quantile of 101 evenly spaced bonds lies half a step above the shortest
    assert allowed[NA, CL] == pytest.approx(2.5 + 0.0025, abs=1e-5)
    assert allowed[29, 29] == pytest.approx(2.0)  # the only rare pair fits itself
    assert allowed[29, NA] == pytest.approx(2.0 / 2.64 * (1.32 + 1.66))
