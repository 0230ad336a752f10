"""Wasserstein distances with known answers, scipy's, and the papers' protocol."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from flowllm.metrics.distributions import _Distances, distance_estimate


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
    assert distance_estimate(np.array([]), np.ones(3)).n == 0


def test_a_set_is_no_distance_from_itself():
    values = np.linspace(3.6, 4.6, 200)
    found = distance_estimate(values, values)
    assert (found.value, found.low, found.n) == (0, 0, 200)
