"""The wrapped normal distribution and its score, against sums, integrals and differences."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowllm.manifolds.wrapped_normal import wrapped_log_density, wrapped_score

SIGMAS = st.floats(0.005, 1.0)


@given(sigma=SIGMAS)
def test_it_is_a_density_of_period_one(sigma):
    x = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    assert wrapped_log_density(x, sigma).exp().mean().item() == pytest.approx(1.0, abs=1e-9)
    torch.testing.assert_close(wrapped_log_density(x + 3, sigma), wrapped_log_density(x, sigma))


@given(sigma=SIGMAS, x=st.floats(-0.5, 0.5))
def test_the_score_is_the_derivative_of_the_logarithm(sigma, x):
    point, step = torch.tensor(x, dtype=torch.float64), 1e-5 * sigma
    ends = [wrapped_log_density(point + sign * step, sigma) for sign in (1, -1)]
    expected = float((ends[0] - ends[1]) / (2 * step))
    assert float(wrapped_score(point, sigma)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_narrow_it_is_the_normal_distribution_and_wide_it_is_uniform():
    x = torch.tensor([0.0, 0.01, -0.02], dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 0.01).log_prob(x)
    torch.testing.assert_close(wrapped_log_density(x, 0.01), normal)
    torch.testing.assert_close(wrapped_score(x, 0.01), -x / 0.01**2)
    wide = wrapped_log_density(torch.linspace(0, 1, 50, dtype=torch.float64), 1.0)
    # the first harmonic, 2 exp(-2 pi^2 sigma^2), is what is left of the peak
    assert wide.abs().max().item() == pytest.approx(2 * math.exp(-2 * math.pi**2), rel=1e-3)


def test_the_score_is_odd_and_vanishes_where_both_ways_are_as_long():
    x = torch.linspace(-0.49, 0.49, 30, dtype=torch.float64)
    torch.testing.assert_close(wrapped_score(-x, 0.2), -wrapped_score(x, 0.2))
    assert abs(float(wrapped_score(torch.tensor(0.5, dtype=torch.float64), 0.3))) < 1e-9


def test_deviations_of_each_point_are_those_one_by_one():
    x, sigma = (
        torch.rand(5, 2, dtype=torch.float64),
        torch.tensor([[0.01], [0.1], [0.2], [0.5], [1]]),
    )
    for k in range(5):
        one = wrapped_score(x[k], float(sigma[k]))
        torch.testing.assert_close(wrapped_score(x, sigma)[k], one, rtol=1e-6, atol=1e-6)
