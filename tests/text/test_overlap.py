"""Atoms are not written on top of each other."""

import itertools

import numpy as np
import pytest
from ase.data import covalent_radii
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.cells import lattice_matrices
from flowllm.text.formats.overlap import CLOSEST_CONTACT, Sites


def nearest(lattice, a, b):
    """By brute force over 125 images."""
    images = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    return np.linalg.norm((b - a + images) @ lattice, axis=1).min()


def test_rock_salt():
    sites = Sites([5.6, 5.6, 5.6], [90, 90, 90])
    sites.add(11, [0.0, 0.0, 0.0])
    trial = np.array([[0.5, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.99], [0.5, 0.5, 0.5]])
    assert (sites.clearance(17, trial) >= CLOSEST_CONTACT).tolist() == [True, False, False, True]
    assert sites.clearance(17, trial)[0] == pytest.approx(2.8 / (1.66 + 1.02))


def test_an_empty_cell_takes_anything():
    sites = Sites([3.0, 3.0, 3.0], [60, 60, 60])
    assert np.isinf(sites.clearance(55, np.random.default_rng(0).random((5, 3)))).all()


@given(
    seed=st.integers(0, 10_000),
    angles=st.tuples(*[st.integers(75, 105)] * 3),
)
def test_agrees_with_brute_force_in_cells_near_right_angles(seed, angles):
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(3, 8, 3).tolist()
    lattice = lattice_matrices(np.array([lengths]), np.array([angles], dtype=float))[0]
    sites, coords, trial = Sites(lengths, list(angles)), rng.random((4, 3)), rng.random((20, 3))
    numbers = rng.integers(1, 90, 4)
    for number, place in zip(numbers, coords, strict=True):
        sites.add(int(number), place.tolist())
    for place, found in zip(trial, sites.clearance(8, trial), strict=True):
        wanted = min(
            nearest(lattice, place, other) / (covalent_radii[8] + covalent_radii[number])
            for other, number in zip(coords, numbers, strict=True)
        )
        assert found >= wanted - 1e-9
        if wanted < CLOSEST_CONTACT:  # a nearest image beyond the eight is far away
            assert found == pytest.approx(wanted)


def test_real_crystals_stay_possible(mp20_crystals):
    """No atom of 1,000 real crystals would have been forbidden."""
    for crystal in mp20_crystals:
        sites = Sites(crystal.lengths[0].tolist(), crystal.angles[0].tolist())
        for number, place in zip(crystal.atomic_numbers, crystal.frac_coords, strict=True):
            near = sites.clearance(int(number), place[None])[0]
            assert near >= CLOSEST_CONTACT, crystal.ids[0]
            sites.add(int(number), place.tolist())


@pytest.mark.parametrize("overlap", [False, True])
def test_decoding_masks_the_last_coordinate(tokenizer, overlap):
    from flowllm.conditions.composition_rule import CompositionRule
    from flowllm.text.formats.gruver.state import GruverState
    from flowllm.text.formats.gruver.table import GruverTable

    table = GruverTable(tokenizer, 20)
    rule = CompositionRule(20, ({"Na": 1, "Cl": 1},))
    state = GruverState(table, rule, overlap)
    text = "3.9 3.9 3.9\n60 60 60\nNa\n0.00 0.00 0.00\nCl\n0.00 0.00"
    for token in tokenizer(text)["input_ids"]:
        assert token in state.allowed()
        state.advance(token)
    allowed = {table.step_of[int(token)] for token in state.allowed()}
    if overlap:
        assert allowed == set(range(100))
    else:  # 0.6 (1.66 + 1.02) Å = 1.61 Å, of 3.9 Å along the axis
        assert allowed == set(range(42, 59))


def test_a_full_line_leaves_its_roomiest_place(tokenizer):
    from flowllm.conditions.composition_rule import CompositionRule
    from flowllm.text.formats.gruver.state import GruverState
    from flowllm.text.formats.gruver.table import GruverTable

    table = GruverTable(tokenizer, 20)
    state = GruverState(table, CompositionRule(20, ({"Cs": 1, "I": 1},)))
    text = "3.0 3.0 3.0\n90 90 90\nCs\n0.00 0.00 0.00\nI\n0.00 0.00"
    for token in tokenizer(text)["input_ids"]:
        state.advance(token)
    assert [table.step_of[int(token)] for token in state.allowed()] == [50]
