"""The path of the atoms equals the distances computed by hand."""

import numpy as np

from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.flow_path import path_figure, path_length


def test_path_is_the_distance_from_the_start_less_the_common_translation(refined):
    shifted = refined.frac_coords + 0.3
    shifted[0, 2] += 0.1  # one atom of a cube of 3.9 Å
    far = refined.replace(frac_coords=shifted)
    trajectory = Trajectory.from_frames([0, 1], [refined, far])
    moved = np.array([0.1, 0, 0, 0, 0]) - 0.02
    expected = 3.9 * np.sqrt((moved**2).sum() / 8)
    np.testing.assert_allclose(path_length(trajectory), [0, expected], atol=1e-9)
    np.testing.assert_allclose(path_figure(trajectory).data[0].y, [0, expected], atol=1e-9)
