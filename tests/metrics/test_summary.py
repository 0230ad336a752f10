"""Statistics, properties and the summary, against numbers worked out by hand or by pymatgen."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.properties import density, n_elements
from flowllm.metrics.statistics import bootstrap_interval, estimate
from flowllm.metrics.summary import summarise

ROCK_SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(3.99, 3.99, 3.99)], [(60, 60, 60)], [2], ["a"]
)
IMPOSSIBLE = CrystalBatch(
    [11, 17, 17], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0, 0)], [(5, 5, 5)], [(90, 90, 90)], [3], ["b"]
)
FLAT = ROCK_SALT.replace(angles=np.array([[60, 60, 120]]), ids=np.array(["c"]))
NEEDLE = CrystalBatch([29], [(0, 0, 0)], [(0.4, 5, 5)], [(90, 90, 90)], [1], ["d"])
ALL = CrystalBatch.concatenate([ROCK_SALT, IMPOSSIBLE, FLAT, NEEDLE])


@pytest.mark.data
def test_density_equals_pymatgen_s(mp20_rows):
    batch = CrystalBatch.from_cif(mp20_rows["cif"].head(20))
    expected = [float(s.density) for s in batch.to_pymatgen()]
    np.testing.assert_allclose(density(batch), expected, rtol=1e-3)
    assert n_elements(batch).tolist() == [len(c) for c in batch.compositions]


def test_density_of_no_volume_is_unknown():
    values = density(ALL)
    assert values[0] == pytest.approx(2.161, abs=2e-3)
    assert np.isnan(values).tolist() == [False, False, True, False]
    assert n_elements(ALL).tolist() == [2, 2, 2, 1]


def test_summary_counts():
    summary = summarise(ALL, training_formulas={"NaCl"})
    assert summary.n == 4
    assert summary.structural.value == 0.5
    assert summary.structural_no_self_images.value == 0.75
    assert summary.compositional.value == 0.75
    assert summary.both.value == 0.25
    assert summary.distinct.value == 0.75
    assert summary.new is not None and summary.new.value == 0.5
    assert summary.atoms.value == 2.0
    assert summary.density.n == 3
    assert summary.n_ary == {1: 1, 2: 3}
    rows = dict(summary.table())
    assert rows["crystals"] == "4"
    assert rows["valid structure"].startswith("50.0 % (")
    assert rows["valid composition (smact14)"].startswith("75.0 % (")
    assert rows["number of elements"] == "1: 25.0%, 2: 75.0%"
    assert "formula not in the training set" in rows


def test_summary_of_nothing():
    summary = summarise(CrystalBatch.empty())
    assert summary.n == 0 and summary.new is None
    assert dict(summary.table())["valid structure"] == "none (n = 0)"


def test_interval_of_a_rate_is_the_normal_one_for_many():
    flags = np.arange(10_000) % 4 == 0
    low, high = bootstrap_interval(flags)
    half = 1.96 * np.sqrt(0.25 * 0.75 / 10_000)
    assert (low, high) == pytest.approx((0.25 - half, 0.25 + half), abs=6e-4)


def test_interval_of_a_mean_and_of_a_median():
    values = np.random.default_rng(1).normal(5, 2, 2_000)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(2_000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    low, high = bootstrap_interval(values, lambda x: np.median(x, axis=-1), samples=300)
    assert low < np.median(values) < high


def test_interval_repeats_itself_and_knows_its_limits():
    values = np.random.default_rng(2).random(50)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values)
    assert bootstrap_interval(np.ones(9, dtype=bool)) == (1.0, 1.0)
    assert estimate(np.array([])).as_number() == "none (n = 0)"
    assert estimate(np.array([True, False])).as_percent().endswith("n = 2)")
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(values, level=1.0)
