"""Exact crystals: their operations, and the setting that those of others are known to have."""

import numpy as np
import pytest

from flowllm.symmetry import conventional as module
from flowllm.symmetry.conventional import MONOCLINIC, conventional
from flowllm.symmetry.exact import TOLERANCE, exact_symmetry
from flowllm.symmetry.find import find_symmetry
from flowllm.symmetry.normalizer import canonical
from flowllm.symmetry.operations import exact_operations
from flowllm.symmetry.space_group import space_group
from tests.symmetry.random_crystals import GROUPS, described_otherwise, random_crystal


@pytest.mark.parametrize("number", GROUPS)
def test_operations_map_the_crystal_on_itself_and_are_as_many_as_of_the_group(number):
    crystal = random_crystal(number, np.random.default_rng(number)).to_primitive()
    found = exact_operations(crystal, TOLERANCE)
    group = space_group(number)
    assert len(found.rotations) == len(group.rotations) / group.points
    coords = crystal.frac_coords
    for turn, shift, images in zip(found.rotations, found.translations, found.images, strict=True):
        gaps = coords @ turn.T + shift - coords[images]
        assert np.abs(gaps - np.round(gaps)).max() < 1e-6
        assert (crystal.atomic_numbers[images] == crystal.atomic_numbers).all()


@pytest.mark.parametrize("number", [n for n in GROUPS if n > MONOCLINIC])
def test_a_known_setting_gives_what_spglib_finds(number, monkeypatch):
    rng = np.random.default_rng(number)
    made = random_crystal(number, rng)
    first = made.to_primitive()
    assert exact_symmetry(first) is not None  # from now on the setting is known
    monkeypatch.setattr(module, "dataset_of", None)
    crystals = [first, first.replace(frac_coords=first.frac_coords + 2e-5)]
    for crystal in crystals:
        operations = exact_operations(crystal, TOLERANCE)
        found = canonical(conventional(crystal, operations, TOLERANCE))
        expected = canonical(find_symmetry(crystal, TOLERANCE))
        assert (found.number, found.letters) == (number, expected.letters)
        assert found.elements.tolist() == expected.elements.tolist()
        np.testing.assert_allclose(found.lengths, expected.lengths, atol=1e-4)
        gaps = found.coords - expected.coords
        assert np.abs(gaps - np.round(gaps)).max() < 1e-4


def test_atoms_are_put_at_the_mean_of_their_images():
    made = random_crystal(166, np.random.default_rng(1))
    crystal, expected = made.to_primitive(), canonical(made)
    noise, errors = 1e-5, []
    for seed in range(20):
        move = np.random.default_rng(seed).normal(0, noise, crystal.frac_coords.shape)
        found = exact_symmetry(crystal.replace(frac_coords=crystal.frac_coords + move))
        assert found.letters == expected.letters == ("d", "b", "i")
        assert (found.coords[:2] == expected.coords[:2]).all()
        errors.append(found.coords[2] - expected.coords[2])
    assert 0 < np.std(errors) < 0.6 * noise  # of twelve images in the primitive cell


def test_nothing_is_said_where_the_tolerance_matters():
    crystal = random_crystal(62, np.random.default_rng(0)).to_primitive()
    shift = np.zeros_like(crystal.frac_coords)
    for size, known in ((1e-4, True), (0.005, False), (0.02, False), (0.3, True)):
        shift[0] = np.array([size, 0, 0]) @ np.linalg.inv(crystal.lattices[0])
        moved = crystal.replace(frac_coords=crystal.frac_coords + shift)
        found = exact_operations(moved, TOLERANCE)
        assert (found is not None) is known, size
    assert len(found.rotations) == 1  # 0.3 Å are no symmetry
    strained = crystal.replace(angles=crystal.angles + np.array([0.05, 0, 0]))
    assert exact_operations(strained, TOLERANCE) is None


def test_supercells_and_unreduced_cells_are_left_to_spglib():
    rng = np.random.default_rng(3)
    made = random_crystal(225, rng)
    assert exact_operations(made.to_conventional(), TOLERANCE) is None  # four times as large
    oblique = described_otherwise(made.to_primitive(), rng)
    assert exact_operations(oblique, TOLERANCE) is None
    assert exact_symmetry(oblique).number == 225  # by spglib
