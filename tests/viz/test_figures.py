"""The numbers behind the figures equal those computed from the crystals."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.before_after import choose_diverse, structure_figure
from flowllm.viz.bins import STRUCTURAL, histograms
from flowllm.viz.charts import distribution_figure
from flowllm.viz.flow_path import path_figure, path_length


def test_histograms_are_shares(refined):
    shares = histograms(refined)
    assert {name: sum(row) for name, row in shares.items()} == pytest.approx(
        dict.fromkeys(STRUCTURAL, 1)
    )
    assert np.flatnonzero(shares["n_elements"]).tolist() == [0, 1, 2]
    assert np.flatnonzero(shares["num_atoms"]).tolist() == [0, 1, 4]
    assert np.flatnonzero(shares["density"]).tolist() == [2, 5, 8]  # NaCl 2.1, SrTiO3 5.1, Cu 9.0


def test_values_beyond_the_last_bin_are_counted_in_it_and_no_volume_nowhere(refined):
    heavy = refined[2].replace(lengths=np.full((1, 3), 1.2))
    flat = refined[2].replace(angles=np.array([[60, 60, 120]]))
    shares = histograms(CrystalBatch.concatenate([heavy, flat]))["density"]
    assert shares[-1] == 1 and sum(shares) == 1
    assert sum(histograms(CrystalBatch.empty())["density"]) == 0


def test_bars_hold_the_shares(prior, refined):
    first, last = histograms(prior)["num_atoms"], histograms(refined)["num_atoms"]
    figure = distribution_figure("num_atoms", first, last, reference=first)
    behind, one, other = figure.data
    np.testing.assert_allclose(one.y, 100 * np.array(first))
    np.testing.assert_allclose(other.y, 100 * np.array(last))
    np.testing.assert_allclose(other.x, np.arange(1, 21))
    assert behind.fill == "tozeroy" and max(behind.y) == pytest.approx(100 * max(first))
    assert len(distribution_figure("num_atoms", first, last).data) == 2


def test_before_and_after_share_scale_and_camera(prior, refined):
    layout = structure_figure(prior[0], refined[0]).layout
    spans = [
        axis.range[1] - axis.range[0]
        for scene in (layout.scene, layout.scene2)
        for axis in (scene.xaxis, scene.yaxis, scene.zaxis)
    ]
    assert spans == pytest.approx([spans[0]] * 6)
    assert layout.scene.camera == layout.scene2.camera
    assert layout.scene.domain.x == (0, 0.5)
    alone = structure_figure(None, refined[0])
    assert alone.layout.scene.domain.x == (0, 1)
    assert {trace.scene for trace in alone.data} == {"scene"}


def test_path_is_the_distance_from_the_start_less_the_common_translation(refined):
    shifted = refined.frac_coords + 0.3
    shifted[0, 2] += 0.1  # one atom of a cube of 3.9 Å
    far = refined.replace(frac_coords=shifted)
    trajectory = Trajectory.from_frames([0, 1], [refined, far])
    moved = np.array([0.1, 0, 0, 0, 0]) - 0.02
    expected = 3.9 * np.sqrt((moved**2).sum() / 8)
    np.testing.assert_allclose(path_length(trajectory), [0, expected], atol=1e-9)
    np.testing.assert_allclose(path_figure(trajectory).data[0].y, [0, expected], atol=1e-9)


def test_chosen_crystals_are_valid_and_differ(refined):
    many = CrystalBatch.concatenate([refined, refined, refined])
    many = many.replace(ids=np.array([f"n{i}" for i in range(9)]))
    valid = {f"n{i}": i != 0 for i in range(9)}
    chosen = choose_diverse(many, valid, 3)
    assert sorted({many.formulas[i] for i in chosen}) == ["Cu", "NaCl", "SrTiO3"]
    assert 0 not in chosen
    assert len(choose_diverse(many, valid, 20)) == 9  # too few valid ones: the rest follows
    assert choose_diverse(CrystalBatch.empty(), {}, 3) == []
