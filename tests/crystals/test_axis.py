"""The axis of a trajectory: kept by selections, joins and files, refused where it does not fit."""

from dataclasses import replace

import numpy as np
import pytest

from flowllm.crystals.axis import Axis, place
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.crystal_data import trajectory_crystal
from tests.widgets.trajectory_samples import two_crystals

STEPS = Axis("diffusion step", [1000, 500, 0])
NOISE = Axis("noise level", [10.0, 0.31623, 0.01], "Å")


def test_an_axis_says_where_a_frame_is():
    assert (STEPS.title, STEPS.text(1)) == ("diffusion step", "diffusion step 500")
    assert (NOISE.title, NOISE.text(1)) == ("noise level (Å)", "noise level 0.3162 Å")
    assert place(np.array([0.0, 0.5]), None, 1) == "t = 0.50"
    assert place(np.array([0.0, 0.5, 1.0]), STEPS, 2) == "diffusion step 0"


def test_pages_of_runs_name_the_frames_by_the_axis():
    made = trajectory_crystal(replace(two_crystals(3).crystal(0), axis=STEPS))
    assert made["names"] == ["diffusion step 1000", "diffusion step 500", "diffusion step 0"]


@pytest.fixture
def path() -> Trajectory:
    return replace(two_crystals(3), axis=NOISE)


def test_crystals_and_files_keep_the_axis(path, tmp_path):
    assert NOISE.same(path.crystal(1).axis)
    assert NOISE.same(Trajectory.concatenate([path.crystal(0), path.crystal(1)]).axis)
    path.save(tmp_path / "path.npz")
    found = Trajectory.load(tmp_path / "path.npz")
    assert NOISE.same(found.axis)
    assert np.array_equal(found.frac_coords, path.frac_coords)


def test_a_trajectory_over_t_has_no_axis_in_its_file(tmp_path):
    path = two_crystals(3)
    assert len(path.arrays()) == 7
    path.save(tmp_path / "path.npz")
    assert Trajectory.load(tmp_path / "path.npz").axis is None


def test_axes_that_do_not_fit_are_refused(path):
    with pytest.raises(InputError, match="3 values for 4 frames"):
        replace(two_crystals(4), axis=STEPS)
    other = replace(path, axis=STEPS)
    for pair in ([path, other], [path, replace(path, axis=None)], [replace(path, axis=None), path]):
        with pytest.raises(InputError, match="different axes"):
            Trajectory.concatenate(pair)
    with pytest.raises(InputError, match="not finite"):
        Axis("step", [0.0, np.nan])
    with pytest.raises(InputError, match="a name"):
        Axis("", [0.0])
