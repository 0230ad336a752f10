"""The conventional cell: as many atoms as the lattice has, at the same distances."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.larger_cells import conventional_axes, in_cell

SALT = CrystalBatch([11, 17], [(0, 0, 0), (0.5,) * 3], [(3.988,) * 3], [(60,) * 3], [2], ["salt"])
IRON = CrystalBatch([26], [(0.2, 0.1, 0.3)], [(2.4855,) * 3], [(109.4712,) * 3], [1], ["iron"])
CUBE = CrystalBatch([55, 17], [(0, 0, 0), (0.5,) * 3], [(4.12,) * 3], [(90,) * 3], [2], ["cube"])


def way(crystal, seed=0):
    rng = np.random.default_rng(seed)
    moved = crystal.frac_coords + 0.05 * rng.normal(size=crystal.frac_coords.shape)
    first = crystal.replace(frac_coords=moved, lengths=1.1 * crystal.lengths)
    return Trajectory.from_frames([0.0, 1.0], [first, crystal])


@pytest.mark.parametrize(("crystal", "times", "length"), [(SALT, 4, 5.64), (IRON, 2, 2.87)])
def test_a_centred_lattice_gets_its_cube(crystal, times, length):
    axes = conventional_axes(crystal)
    large = in_cell(way(crystal), axes)
    assert large.num_atoms.tolist() == [times * len(crystal.atomic_numbers)]
    np.testing.assert_allclose(large.lengths[1, 0], length, atol=2e-3)
    np.testing.assert_allclose(large.angles[1, 0], 90, atol=2e-3)
    np.testing.assert_allclose(large.lengths[0, 0], 1.1 * length, atol=2e-3)


def test_a_conventional_cell_stays():
    assert conventional_axes(CUBE) is None


@pytest.mark.parametrize("frame", [0, 1])
def test_every_frame_is_the_same_crystal(frame):
    small = way(SALT)
    large = in_cell(small, conventional_axes(SALT))
    one, other = small.frame(frame), large.frame(frame)
    assert other.volumes[0] == pytest.approx(4 * one.volumes[0])
    matcher = StructureMatcher(primitive_cell=True, scale=False)
    assert matcher.fit(one.to_pymatgen()[0], other.to_pymatgen()[0])
