"""Crystals as a page's script gets them: what it computes is what was drawn here."""

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.crystal_data import (
    COORD_STEP,
    DRAWN_ATOMS,
    page_crystal,
    page_elements,
    trajectory_crystal,
    unwrapped,
)
from flowllm.viz.structure3d import draw
from tests.viz.conftest import COPPER, PEROVSKITE, ROCK_SALT


def positions(data, frame):
    """(M, 3) Å of the drawn atoms, as `crystal_view.js` computes them."""
    words = np.frombuffer(base64.b64decode(data["coords"]), "<i2") * COORD_STEP
    coords = words.reshape(len(data["cells"]), len(data["numbers"]), 3)[frame]
    cell = np.array(data["cells"][frame]).reshape(3, 3)
    return (coords[data["source"]] + data["shift"]) @ cell


@pytest.mark.parametrize("crystal", [PEROVSKITE, ROCK_SALT, COPPER])
def test_atoms_stand_where_they_are_drawn(crystal):
    data, drawing = page_crystal(crystal), draw(crystal)
    np.testing.assert_allclose(positions(data, 0), drawing.positions, atol=2e-3)
    assert np.array_equal(np.array(data["numbers"])[data["source"]], drawing.numbers)
    assert data["bonds"] == drawing.bonds.tolist()


def test_a_frame_is_where_the_atoms_were(prior, refined):
    way = Trajectory.from_frames([0.0, 1.0], [prior, refined])
    data = trajectory_crystal(way.crystal(0))
    assert data["names"] == ["t = 0.00", "t = 1.00"]
    inside = [index for index, shift in enumerate(data["shift"]) if shift == [0, 0, 0]]
    atoms = np.array(data["source"])[inside]
    start = prior[0].frac_coords @ prior[0].lattices[0]
    np.testing.assert_allclose(positions(data, 0)[inside], start[atoms], atol=3e-3)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_no_atom_jumps_through_a_face(seed, frames):
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-0.4, 0.4, (frames, 4, 3))
    path = np.cumsum(steps, axis=0) + rng.random((4, 3))
    wrapped = CrystalBatch.concatenate(
        CrystalBatch([6] * 4, coords % 1, [(4, 4, 4)], [(90, 90, 90)], [4], [str(t)])
        for t, coords in enumerate(path)
    )
    found = unwrapped(wrapped)
    np.testing.assert_allclose(np.diff(found, axis=0), np.diff(path, axis=0), atol=1e-9)
    np.testing.assert_allclose(found[-1], path[-1] % 1, atol=1e-9)


def test_many_frames_are_thinned_with_first_and_last():
    way = Trajectory.from_frames(np.linspace(0, 1, 101), [ROCK_SALT] * 101)
    data = trajectory_crystal(way, most=5)
    assert data["names"] == ["t = 0.00", "t = 0.25", "t = 0.50", "t = 0.75", "t = 1.00"]


def test_what_cannot_be_drawn_is_none():
    flat = ROCK_SALT.replace(angles=[(60, 60, 120)])
    many = DRAWN_ATOMS + 1
    large = CrystalBatch([6] * many, np.random.default_rng(0).random((many, 3)), [(9, 9, 9)],
                         [(90, 90, 90)], [many], ["large"])  # fmt: skip
    assert page_crystal(flat) is None and page_crystal(large) is None
    begun = page_crystal(CrystalBatch.concatenate([flat, ROCK_SALT]), ["a", "b"])
    assert len(begun["cells"]) == 1 and begun["names"] == []


def test_elements_have_symbol_colour_and_radius(refined):
    elements = page_elements([refined])
    assert list(elements) == sorted({8, 11, 17, 22, 29, 38})
    assert elements[8][0] == "O" and elements[8][1] == "#ff0d0d" and 0.2 < elements[8][2] < 0.4
