"""The torus, flat space and their product: round trips, the short way, tangents."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays

from flowllm.manifolds import CrystalManifold, CrystalState, Euclidean, FlatTorus
from flowllm.manifolds.crystal import mean_free

COORDS = arrays(np.float64, (4, 3), elements=st.floats(0, 1, exclude_max=True))
WIDE = arrays(np.float64, (4, 3), elements=st.floats(-5, 5))


def circular(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    difference = x - y
    return (difference - difference.round()).abs()


@given(COORDS, COORDS)
def test_exp_undoes_log_across_the_boundary(x, y):
    torus, x, y = FlatTorus(), torch.from_numpy(x), torch.from_numpy(y)
    assert circular(torus.expmap(x, torus.logmap(x, y)), y).max() < 1e-12


@given(COORDS, arrays(np.float64, (4, 3), elements=st.floats(-0.499, 0.499)))
def test_log_undoes_exp_within_half_a_period(x, u):
    torus, x, u = FlatTorus(), torch.from_numpy(x), torch.from_numpy(u)
    assert (torus.logmap(x, torus.expmap(x, u)) - u).abs().max() < 1e-12


@given(arrays(np.float32, (20,), elements=st.floats(-3, 3, width=32)))
def test_points_stay_below_one_in_float32(values):
    wrapped = FlatTorus().projx(torch.from_numpy(values))
    assert (wrapped >= 0).all() and (wrapped < 1).all()


def test_a_tiny_negative_number_becomes_zero():
    tiny = torch.tensor([-1e-12, -1e-8, 1.0, 2.0])
    assert FlatTorus().projx(tiny).tolist() == [0.0] * 4


@given(COORDS, COORDS)
def test_log_is_the_shortest_of_all_images(x, y):
    torus, x, y = FlatTorus(), torch.from_numpy(x), torch.from_numpy(y)
    images = torch.stack([(y - x + k).abs() for k in (-1, 0, 1)]).amin(0)
    assert (torus.logmap(x, y).abs() - images).abs().max() < 1e-12
    assert torch.allclose(torus.squared_distance(x, y), images.square().sum(-1))


def test_the_geodesic_takes_the_short_way_over_the_edge():
    torus = FlatTorus()
    x, y = torch.tensor([[0.95]], dtype=torch.float64), torch.tensor([[0.05]], dtype=torch.float64)
    assert torus.geodesic(x, y, 0.25).item() == pytest.approx(0.975)
    assert circular(torus.geodesic(x, y, 0.5), torch.zeros(1)).item() < 1e-12
    assert torus.geodesic(x, y, 0.75).item() == pytest.approx(0.025)


def test_a_geodesic_takes_one_time_per_row():
    x, y = torch.zeros(2, 3), torch.full((2, 3), 0.4)
    path = FlatTorus().geodesic(x, y, torch.tensor([0.5, 1.0]))
    assert torch.allclose(path, torch.tensor([[0.2], [0.4]]).expand(2, 3))


@given(WIDE, WIDE)
def test_flat_space_is_flat(x, y):
    space, x, y = Euclidean(), torch.from_numpy(x), torch.from_numpy(y)
    assert torch.allclose(space.expmap(x, space.logmap(x, y)), y)
    assert torch.allclose(space.geodesic(x, y, 0.5), (x + y) / 2)
    assert space.projx(x) is x and space.proju(x, y) is y


def crystal_points(seed: int = 0) -> tuple[CrystalManifold, CrystalState, CrystalState]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    points = [
        CrystalState(
            torch.rand(2, 4, 3, generator=generator) * mask[..., None],
            torch.randn(2, 6, generator=generator),
        )
        for _ in range(2)
    ]
    return CrystalManifold(mask), *points


def test_the_product_reaches_the_end_and_leaves_padding_alone():
    manifold, x, y = crystal_points()
    end = manifold.geodesic(x, y, torch.ones(2))
    assert circular(end.coords, y.coords).max() < 1e-6
    assert torch.allclose(end.cell, y.cell, atol=1e-6)
    assert (end.coords[0, 3] == 0).all()
    moved = manifold.expmap(x, CrystalState(torch.ones(2, 4, 3) / 3, torch.zeros(2, 6)))
    assert (moved.coords[0, 3] == x.coords[0, 3]).all()


def test_tangents_are_mean_free_over_atoms_only():
    manifold, x, y = crystal_points()
    tangent = manifold.proju(x, manifold.logmap(x, y))
    assert tangent.coords.sum(1).abs().max() < 1e-6
    assert (tangent.coords[0, 3] == 0).all()
    again = manifold.proju(x, tangent)
    assert torch.allclose(again.coords, tangent.coords, atol=1e-7)
    assert torch.equal(tangent.cell, y.cell - x.cell)


def test_a_common_translation_has_no_tangent_part():
    mask = torch.tensor([[True, True, False]])
    assert mean_free(torch.full((1, 3, 3), 0.3), mask).abs().max() < 1e-7


def test_scale_and_add_act_on_both_parts():
    manifold, x, y = crystal_points()
    total = manifold.add(manifold.scale(x, 2.0), manifold.scale(y, torch.tensor([0.0, 1.0])))
    assert torch.allclose(total.cell, 2 * x.cell + torch.tensor([[0.0], [1.0]]) * y.cell)
    assert torch.allclose(total.coords[0], 2 * x.coords[0])
