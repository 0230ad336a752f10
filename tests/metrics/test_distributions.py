"""Wasserstein distances with known answers, scipy's, and the papers' protocol."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.distributions import _Distances, distance_estimate, wasserstein
from flowllm.metrics.properties import density


def rock_salt(edges):
    """Rock salt with primitive cells of the given edges in Å."""
    count = len(edges)
    return CrystalBatch(
        [11, 17] * count,
        [(0, 0, 0), (0.5, 0.5, 0.5)] * count,
        np.repeat(np.asarray(edges, float)[:, None], 3, axis=1),
        [(60, 60, 60)] * count,
        [2] * count,
        np.arange(count).astype(str),
    )


SALT = rock_salt(np.linspace(3.6, 4.6, 200))


def test_a_shift_by_a_constant_is_the_distance():
    values = np.random.default_rng(0).normal(size=400)
    found = distance_estimate(values + 0.7, values)
    assert found.value == pytest.approx(0.7) and found.n == 400
    assert 0.5 < found.low < 0.7 < found.high < 0.9


@settings(max_examples=60, deadline=None)
@given(
    one=st.lists(st.floats(-5, 5), min_size=1, max_size=30),
    other=st.lists(st.floats(-5, 5), min_size=1, max_size=30),
)
def test_many_samples_at_once_equal_scipy_one_by_one(one, other):
    ours = _Distances(len(one), np.sort(other))(np.sort([one])[:1])
    assert ours[0] == pytest.approx(wasserstein_distance(one, other), abs=1e-9)


def test_interval_holds_the_value_and_covers_the_truth():
    rng = np.random.default_rng(3)
    reference = rng.normal(size=20_000)
    hits = 0
    for seed in range(20):
        found = distance_estimate(rng.normal(0.5, 1, size=300), reference, seed)
        assert found.low <= found.value <= found.high
        hits += found.low <= 0.5 <= found.high
    assert hits >= 16


def test_nothing_has_no_distance():
    assert np.isnan(distance_estimate(np.array([]), np.ones(3)).value)
    found = wasserstein(SALT, SALT, valid=np.zeros(200, dtype=bool))
    assert found.density.n == 0 and np.isnan(found.density.value)
    assert found.density_all.n == 0 and np.isnan(found.density_all.value)
    empty = wasserstein(CrystalBatch.empty(), SALT)
    assert empty.n_elements_all.n == 0


def test_a_set_is_no_distance_from_itself():
    found = wasserstein(SALT, SALT)
    assert found.density.value == found.n_elements.value == 0
    assert found.density.n == 200 and found.n_reference == 200
    assert found.density.low == 0


def test_density_and_elements_by_hand():
    copper = CrystalBatch([29], [(0, 0, 0)], [(2.55,) * 3], [(60,) * 3], [1], ["Cu"])
    found = wasserstein(copper, SALT[[0]])
    assert found.density.value == pytest.approx(abs(density(copper)[0] - density(SALT[[0]])[0]))
    assert found.n_elements.value == 1.0
    half = wasserstein(CrystalBatch.concatenate([copper, SALT[[0]]]), SALT[[0]])
    assert half.n_elements_all.value == 0.5


def test_the_papers_sample_is_drawn_from_the_valid_and_repeats_itself():
    found = wasserstein(SALT, SALT[:100], sample=50, seed=4)
    again = wasserstein(SALT, SALT[:100], sample=50, seed=4)
    other = wasserstein(SALT, SALT[:100], sample=50, seed=5)
    assert found == again and found.density.value != other.density.value
    assert (found.density.n, found.density_all.n, found.sample) == (50, 200, 50)
    expected = wasserstein_distance(density(SALT), density(SALT[:100]))
    assert found.density_all.value == pytest.approx(expected)
    chosen = np.arange(200) < 100
    assert wasserstein(SALT, SALT[:100], valid=chosen).density_all.value == 0


def test_only_valid_crystals_count_by_default():
    overlapping = SALT[[0]].replace(frac_coords=np.array([(0, 0, 0), (0.05, 0.05, 0.05)]))
    uncharged = SALT[[0]].replace(atomic_numbers=np.array([11, 11]), ids=np.array(["Na"]))
    wrong = CrystalBatch(
        [11, 17, 17],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0, 0)],
        [(5, 5, 5)],
        [(90, 90, 90)],
        [3],
        ["NaCl2"],
    )
    flat = SALT[[0]].replace(angles=np.array([[60, 60, 120]]))
    found = wasserstein(CrystalBatch.concatenate([SALT[[0]], overlapping, wrong, flat]), SALT)
    assert found.density.n == 1
    assert wasserstein(uncharged, SALT).density.n == 1  # a single element passes


def test_bad_input():
    with pytest.raises(InputError, match="3 flags of validity for 200 crystals"):
        wasserstein(SALT, SALT, valid=np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="sample must be at least 1"):
        wasserstein(SALT, SALT, sample=0)
    with pytest.raises(InputError, match="no reference crystals"):
        wasserstein(SALT, CrystalBatch.empty())
