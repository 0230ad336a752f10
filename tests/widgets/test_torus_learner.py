"""A small network learns the flow: its loss, its samples, and what the wrap is worth."""

import pytest
import torch

from flowllm.errors import InputError
from flowllm_widgets.torus import comparison
from flowllm_widgets.torus.distributions import one_peak, ring, uniform
from flowllm_widgets.torus.learner import (
    WITH_WRAP,
    WITHOUT_WRAP,
    WITHOUT_WRAP_SINES,
    Learner,
)
from flowllm_widgets.torus.matching import draw_pairs, grid, marginal_on_grid
from flowllm_widgets.torus.measures import energy_distance

STEPS = 400


@pytest.fixture(scope="module")
def trained():
    """With and without the wrap, 400 steps from a peak to the ring across the edges."""
    pairs = draw_pairs(one_peak, ring, 5000, seed=0)
    learners = [Learner(pairs, geometry, 0, STEPS) for geometry in (WITH_WRAP, WITHOUT_WRAP)]
    for learner in learners:
        learner.train(STEPS)
    return learners


@pytest.fixture(scope="module")
def fresh():
    return draw_pairs(one_peak, ring, 1600, seed=1)


@pytest.mark.parametrize("geometry", [WITH_WRAP, WITHOUT_WRAP, WITHOUT_WRAP_SINES])
def test_features_have_the_width_they_say_and_tell_all_points_apart(geometry):
    places = grid(8)
    features = geometry.features(places)
    assert features.shape == (64, geometry.width)
    assert torch.pdist(features).min() > 0.1


def test_only_the_wrap_makes_both_sides_of_an_edge_alike():
    left, right = torch.tensor([[0.0, 0.3]]), torch.tensor([[1.0, 0.3]])
    gaps = [
        (geometry.features(left) - geometry.features(right)).norm()
        for geometry in (WITH_WRAP, WITHOUT_WRAP, WITHOUT_WRAP_SINES)
    ]
    assert gaps[0] < 1e-4 and min(gaps[1:]) > 1.0


def test_the_loss_falls_below_that_of_a_constant_and_not_below_the_marginal_velocitys(
    trained, fresh
):
    floor = comparison.marginal_loss(trained[0].pairs, fresh, seed=0)
    for learner in trained:
        recent = sum(learner.losses[-100:]) / 100
        assert recent < 0.75 * learner.constant_loss()
        assert recent < 0.8 * learner.losses[0]
    assert sum(trained[0].losses[-100:]) / 100 > 0.85 * floor
    assert 0 < floor < trained[0].constant_loss()


def test_the_learnt_velocity_comes_near_the_exact_one(trained):
    learner = trained[0]
    exact, density = (
        torch.stack(part)
        for part in zip(*(marginal_on_grid(9, t, learner.pairs) for t in (0.2, 0.5)), strict=True)
    )
    learnt = torch.stack([learner.velocity(t, grid(9)) for t in (0.2, 0.5)])
    untrained = Learner(learner.pairs, WITH_WRAP, 0)
    before = torch.stack([untrained.velocity(t, grid(9)) for t in (0.2, 0.5)])
    error = comparison.field_error(learnt, exact, density)
    assert error < 0.5 < 0.8 < comparison.field_error(before, exact, density)
    assert comparison.field_error(exact, exact, density) == 0


def test_samples_of_the_flow_reach_the_target(trained, fresh):
    frames = trained[0].flow(fresh.start[:600], steps=20)
    assert frames.shape == (21, 600, 2)
    torch.testing.assert_close(frames[0], fresh.start[:600])
    assert frames.min() >= 0 and frames.max() < 1
    before = energy_distance(frames[0], fresh.end)
    assert energy_distance(frames[-1], fresh.end) < 0.1 * before


def test_without_the_wrap_paths_are_longer_samples_leave_and_few_steps_do_worse(trained, fresh):
    right, wrong = (comparison.measure(learner, fresh) for learner in trained)
    assert wrong.path_length > right.path_length
    assert right.left == 0 < wrong.left
    assert wrong.distance > right.distance
    assert wrong.distance_few > right.distance_few
    perfect, edge = comparison.target_outcome(fresh)
    assert abs(right.edge - edge) < abs(wrong.edge - edge)
    assert abs(perfect) < 1e-3


def test_only_the_wrap_makes_paths_independent_of_where_the_cell_begins():
    pairs = draw_pairs(uniform, ring, 3000, seed=0)
    outcomes = []
    for geometry in (WITH_WRAP, WITHOUT_WRAP):
        learner = Learner(pairs, geometry, 0, steps=1)
        learner.train(1)
        outcomes.append(comparison.measure(learner, draw_pairs(uniform, ring, 200, seed=1)))
    right, wrong = outcomes
    assert right.path_length_moved == pytest.approx(right.path_length, rel=1e-5)
    assert wrong.path_length_moved < 0.8 * wrong.path_length
    assert wrong.path_length > 2 * right.path_length


def test_a_training_in_parts_equals_one_in_a_piece():
    pairs = draw_pairs(uniform, ring, 500, seed=0)
    whole, parts = (Learner(pairs, WITH_WRAP, 3, steps=12) for _ in range(2))
    whole.train(12)
    for count in (5, 1, 20):
        parts.train(count)
    assert whole.done and parts.done
    assert whole.losses == parts.losses and len(parts.losses) == 12
    parts.train(5)
    assert len(parts.losses) == 12


def test_training_leaves_the_random_state_of_others_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Learner(draw_pairs(uniform, ring, 300, seed=0), WITH_WRAP, 3, steps=3).train(3)
    assert torch.equal(torch.rand(3), expected)


def test_a_training_of_no_steps_is_refused():
    with pytest.raises(InputError, match="steps must be 1 or more"):
        Learner(draw_pairs(uniform, ring, 10, seed=0), WITH_WRAP, 0, steps=0)
