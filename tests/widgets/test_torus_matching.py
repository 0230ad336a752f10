"""Pairs, conditional and marginal velocities on T^2, and what is measured of generated points."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import Euclidean, FlatTorus
from flowllm_widgets.torus import distributions as d
from flowllm_widgets.torus.geodesic import geodesic_pieces, straight_pieces
from flowllm_widgets.torus.matching import (
    Pairs,
    conditional_velocity,
    draw_pairs,
    grid,
    marginal_on_grid,
    marginal_velocity,
    mean_squared_length,
    points_at,
)
from flowllm_widgets.torus.measures import edge_share, energy_distance

TORUS = FlatTorus()
coordinate = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
point = st.tuples(coordinate, coordinate).map(np.array)


def draw(name: str, count: int = 4000, seed: int = 0) -> torch.Tensor:
    crystals = CrystalBatch([1, 2], [(0, 0, 0), (0.5, 0.25, 0)], [(4, 4, 4)], [(90,) * 3], [2], "a")
    return d.distributions(crystals)[name](count, torch.Generator().manual_seed(seed))


# ---- geodesics --------------------------------------------------------------------------------


@given(point, point)
def test_pieces_of_a_geodesic_add_up_to_the_distance_and_stay_in_the_square(x, y):
    pieces = geodesic_pieces(x, y)
    length = np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=-1).sum()
    log = TORUS.logmap(torch.from_numpy(x), torch.from_numpy(y))
    assert length == pytest.approx(float(log.norm()), abs=1e-7)
    assert length <= np.linalg.norm(y - x) + 1e-7
    assert (pieces >= 0).all() and (pieces <= 1).all()
    assert len(pieces) <= 3


@given(point, point)
def test_pieces_join_at_opposite_edges(x, y):
    pieces = geodesic_pieces(x, y)
    if not len(pieces):
        return
    # A point on an edge is one on the opposite edge as well.
    for point_of_torus, place in ((x, pieces[0, 0]), (y, pieces[-1, 1])):
        gap = place - point_of_torus
        np.testing.assert_allclose(gap, np.round(gap), atol=1e-7)
    for before, after in zip(pieces[:-1, 1], pieces[1:, 0], strict=True):
        gap = after - before
        np.testing.assert_allclose(gap, np.round(gap), atol=1e-7)
        assert np.abs(np.round(gap)).sum() >= 1


def test_a_path_across_an_edge_is_cut_there():
    pieces = geodesic_pieces(np.array([0.9, 0.5]), np.array([0.2, 0.5]))
    np.testing.assert_allclose(pieces, [[[0.9, 0.5], [1, 0.5]], [[0, 0.5], [0.2, 0.5]]], atol=1e-9)
    assert len(geodesic_pieces(np.array([0.9, 0.9]), np.array([0.2, 0.1]))) == 3
    assert len(straight_pieces(np.array([0.9, 0.5]), np.array([0.2, 0.5]))) == 1
    assert len(geodesic_pieces(np.array([0.3, 0.3]), np.array([0.3, 0.3]))) == 0


# ---- distributions ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(d.distributions()))
def test_every_distribution_draws_points_of_the_torus_and_the_same_again(name):
    points = draw(name)
    assert points.shape == (4000, 2)
    assert points.min() >= 0 and points.max() < 1
    assert torch.equal(points, draw(name)) and not torch.equal(points, draw(name, seed=1))


def test_the_ring_is_one_about_the_corner_and_the_board_leaves_half_empty():
    offset = draw("ring") - draw("ring").round()
    radius = offset.norm(dim=-1)
    assert radius.mean() == pytest.approx(d.RING_RADIUS, abs=0.003)
    assert radius.std() == pytest.approx(d.RING_WIDTH, abs=0.002)
    column, row = (draw("checkerboard") * 4).long().unbind(-1)
    assert ((column + row) % 2 == 0).all()


def test_crystals_give_their_atoms_x_and_y():
    offset = draw("crystals")[:, None] - torch.tensor([(0.0, 0.0), (0.5, 0.25)])
    nearest = (offset - offset.round()).norm(dim=-1).min(1).values
    assert nearest.max() < 6 * d.JITTER
    with pytest.raises(InputError, match="no atoms"):
        d.crystal_sites(CrystalBatch.empty())


def test_without_crystals_those_of_the_textbooks_are_drawn():
    points = d.crystal_sites()(500, torch.Generator().manual_seed(0))
    near_corner = (points - points.round()).norm(dim=-1) < 0.06
    assert 0.1 < near_corner.float().mean() < 0.9  # many atoms sit at 0, not all


# ---- pairs and velocities ---------------------------------------------------------------------


def test_uniform_pairs_have_a_mean_squared_length_of_one_sixth_with_wrap_and_one_third_without():
    pairs = draw_pairs(d.uniform, d.uniform, 60_000, seed=0)
    assert mean_squared_length(pairs) == pytest.approx(1 / 6, abs=0.002)
    assert mean_squared_length(pairs, Euclidean()) == pytest.approx(1 / 3, abs=0.004)


def test_matched_pairs_hold_the_same_points_at_shorter_distance():
    random = draw_pairs(d.uniform, d.ring, 700, seed=3)
    matched = draw_pairs(d.uniform, d.ring, 700, seed=3, matched=True)
    assert torch.equal(random.start, matched.start)
    assert torch.equal(random.end.sort(0).values, matched.end.sort(0).values)
    assert mean_squared_length(matched) < 0.5 * mean_squared_length(random)


def test_pairs_must_fit_together():
    with pytest.raises(InputError, match="as many starts as ends"):
        Pairs(torch.zeros(2, 2), torch.zeros(3, 2))
    with pytest.raises(InputError, match="as many starts as ends"):
        Pairs(torch.zeros(0, 2), torch.zeros(0, 2))


@given(point, point, st.floats(0, 0.95))
def test_along_its_path_a_conditional_velocity_is_the_logarithm_at_the_start(x, y, t):
    pair = Pairs(torch.from_numpy(x)[None], torch.from_numpy(y)[None])
    log = TORUS.logmap(pair.start, pair.end)
    if (log.abs() > 0.499).any():
        return  # both ways around are as long, and rounding decides
    velocity = conditional_velocity(points_at(pair, t), pair.end[0], t)
    torch.testing.assert_close(velocity, log, atol=1e-6, rtol=0)


def test_the_conditional_velocity_brings_every_point_to_the_end():
    places, end = grid(9), torch.tensor([0.93, 0.08])
    for k in range(400):
        t = k / 400
        places = TORUS.expmap(places, conditional_velocity(places, end, t) / 400)
    assert TORUS.squared_distance(places, end.expand_as(places)).max() < 1e-6
    with pytest.raises(InputError, match="below t = 1"):
        conditional_velocity(places, end, 1.0)


def test_the_marginal_velocity_of_one_pair_is_its_logarithm_everywhere():
    pair = Pairs(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.2, 0.3]]))
    velocity, density = marginal_velocity(grid(5), 0.4, pair)
    torch.testing.assert_close(velocity, torch.tensor([0.3, 0.2]).expand(25, 2))
    at, _ = marginal_velocity(points_at(pair, 0.4), 0.4, pair)
    torch.testing.assert_close(at, torch.tensor([[0.3, 0.2]]))
    assert density.min() >= 0


def test_where_two_paths_cross_the_marginal_velocity_is_their_mean_and_elsewhere_the_nearer_one():
    # They meet at (0, 0.5) at t = 1/2, over the edge.
    pairs = Pairs(torch.tensor([[0.9, 0.4], [0.9, 0.6]]), torch.tensor([[0.1, 0.6], [0.1, 0.4]]))
    crossing, _ = marginal_velocity(torch.tensor([[0.0, 0.5]]), 0.5, pairs)
    torch.testing.assert_close(crossing, torch.tensor([[0.2, 0.0]]), atol=1e-6, rtol=0)
    near_one, _ = marginal_velocity(torch.tensor([[0.9, 0.4]]), 0.0, pairs)
    torch.testing.assert_close(near_one, torch.tensor([[0.2, 0.2]]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_on_the_grid_matrices_give_the_same_marginal_velocity_and_density(t):
    pairs = draw_pairs(d.two_peaks, d.ring, 300, seed=1)
    one, density = marginal_velocity(grid(11), t, pairs)
    other, same = marginal_on_grid(11, t, pairs)
    torch.testing.assert_close(same, density, rtol=1e-4, atol=1e-5)
    dense = density > 1e-3
    torch.testing.assert_close(other[dense], one[dense], rtol=1e-3, atol=1e-3)


def test_densities_relative_to_the_uniform_one_have_mean_one():
    pairs = draw_pairs(d.uniform, d.ring, 500, seed=2)
    for t in (0.0, 0.5, 1.0):
        assert marginal_on_grid(60, t, pairs)[1].mean() == pytest.approx(1.0, abs=0.01)


def test_the_marginal_velocity_moves_the_base_to_the_target():
    pairs = draw_pairs(d.one_peak, d.ring, 3000, seed=0)
    x = d.one_peak(400, torch.Generator().manual_seed(9))
    before = energy_distance(x, pairs.end)
    for k in range(50):
        x = TORUS.expmap(x, marginal_velocity(x, k / 50, pairs)[0] / 50)
    assert energy_distance(x, pairs.end) < 0.03 * before


def test_the_marginal_velocity_is_the_same_wherever_the_cell_begins():
    pairs = draw_pairs(d.one_peak, d.ring, 200, seed=0)
    shift = torch.tensor([0.37, 0.81])
    moved = Pairs(TORUS.projx(pairs.start + shift), TORUS.projx(pairs.end + shift))
    here, _ = marginal_velocity(grid(6), 0.6, pairs)
    there, _ = marginal_velocity(TORUS.projx(grid(6) + shift), 0.6, moved)
    torch.testing.assert_close(here, there, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("width", [0.0, -1.0, 0.2])
def test_a_width_out_of_bounds_is_refused(width):
    pair = Pairs(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(InputError, match="width of a path"):
        marginal_velocity(grid(2), 0.5, pair, width)


# ---- measures ---------------------------------------------------------------------------------


def test_the_energy_distance_of_equal_distributions_is_near_zero_and_blind_to_the_cut():
    one, other = draw("ring", 2000), draw("ring", 2000, seed=1)
    apart = energy_distance(one, draw("uniform", 2000))
    assert abs(energy_distance(one, other)) < 0.01 * apart
    shift = torch.tensor([0.4, 0.7])
    moved = [TORUS.projx(points + shift) for points in (one, draw("uniform", 2000))]
    assert energy_distance(*moved) == pytest.approx(apart, rel=1e-3)


def test_the_share_at_the_edges_of_uniform_points_is_what_the_band_covers():
    assert edge_share(draw("uniform", 40_000)) == pytest.approx(1 - 0.9**2, abs=0.01)
    assert edge_share(torch.full((3, 2), 0.5)) == 0
