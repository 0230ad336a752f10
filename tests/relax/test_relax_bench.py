"""The benchmark of the relaxation: what it perturbs and what it reports."""

import numpy as np
import pytest

from flowllm.bench.relaxation import bench_relaxation, perturbed
from flowllm.crystals.batch import CrystalBatch

pytestmark = pytest.mark.slow


def test_perturbation_has_the_size_that_was_asked_for():
    coords = np.random.default_rng(0).random((20, 3))
    crystal = CrystalBatch([6] * 20, coords, [(7, 8, 9)], [(70, 80, 95)], [20], ["x"])
    many = CrystalBatch.concatenate([crystal] * 50)
    moved = perturbed(many, 0.05, 0.0)
    away = moved.frac_coords - many.frac_coords
    away = (away - np.round(away)) @ crystal.lattices[0]
    assert away.std() == pytest.approx(0.05, rel=0.05) and abs(away.mean()) < 0.005
    np.testing.assert_array_equal(moved.lengths, many.lengths)
    strained = perturbed(many, 0.0, 0.02)
    np.testing.assert_allclose(strained.frac_coords, many.frac_coords, atol=1e-12)
    assert (strained.lengths / many.lengths - 1).std() == pytest.approx(0.02, rel=0.2)
    np.testing.assert_array_equal(perturbed(many).lengths, perturbed(many).lengths)


@pytest.mark.data
def test_both_ways_are_timed_and_compared(shaken_crystals, capsys):
    report = bench_relaxation(shaken_crystals[[1]])
    assert report["crystals"] == report["compared"] == 1
    assert report["largest_difference_mev"] < 2 and report["agree_or_lower"] == 1
    assert abs(report["steps"] - report["chgnet_steps"]) <= 2
    assert report["ratio"] == pytest.approx(report["seconds"] / report["chgnet_seconds"])
    assert "ratio" in capsys.readouterr().out
