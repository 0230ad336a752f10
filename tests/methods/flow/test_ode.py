"""The solvers against flows that are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from flowllm.errors import InputError
from flowllm.manifolds import CrystalManifold, CrystalState, Euclidean, FlatTorus
from flowllm.methods.flow.ode import SOLVERS, anti_annealed, integrate


def growth_error(solver: str, steps: int) -> float:
    """Error of dx/dt = x cos t, whose solution is x0 exp(sin t)."""
    start = torch.tensor([[1.0]], dtype=torch.float64)
    end = integrate(lambda t, x: x * math.cos(t), start, Euclidean(), steps, solver)
    return abs(end.item() - math.exp(math.sin(1.0)))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_the_order_of_convergence(solver, order):
    measured = math.log2(growth_error(solver, 16) / growth_error(solver, 32))
    assert measured == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 7])
def test_a_constant_velocity_reaches_the_end_of_the_geodesic(solver, steps):
    generator = torch.Generator().manual_seed(0)
    x, y = (
        CrystalState(
            torch.rand(3, 5, 3, generator=generator, dtype=torch.float64),
            torch.randn(3, 6, generator=generator, dtype=torch.float64),
        )
        for _ in range(2)
    )
    manifold = CrystalManifold(torch.ones(3, 5, dtype=torch.bool))
    tangent = manifold.logmap(x, y)
    end = integrate(lambda t, state: tangent, x, manifold, steps, solver)
    difference = end.coords - y.coords
    assert (difference - difference.round()).abs().max() < 1e-12
    assert (end.cell - y.cell).abs().max() < 1e-12


@pytest.mark.parametrize("solver", SOLVERS)
def test_rotation_of_the_torus_wraps(solver):
    start = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    speed = torch.tensor([[2.3, -1.4]], dtype=torch.float64)
    end = integrate(lambda t, x: speed, start, FlatTorus(), 10, solver)
    assert torch.allclose(end, (start + speed) % 1.0)


def test_a_periodic_field_matches_its_solution():
    """dx/dt = -sin(2 pi x) / 2 pi has tan(pi x(1)) = tan(pi x(0)) / e."""
    start = torch.tensor([[0.1, 0.3, 0.7]], dtype=torch.float64)
    end = integrate(
        lambda t, x: -(2 * math.pi * x).sin() / (2 * math.pi), start, FlatTorus(), 40, "rk4"
    )
    assert torch.allclose((math.pi * end).tan(), (math.pi * start).tan() / math.e, atol=1e-6)


def test_frames_come_at_every_step():
    seen = []
    start = torch.zeros(1, 1, dtype=torch.float64)
    integrate(
        lambda t, x: torch.ones_like(x),
        start,
        Euclidean(),
        4,
        on_frame=lambda k, x: seen.append((k, x.item())),
    )
    assert [k for k, _ in seen] == [0, 1, 2, 3, 4]
    assert [x for _, x in seen] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


def test_the_velocity_is_asked_at_the_right_times():
    times = []

    def velocity(t, x):
        times.append(t)
        return torch.zeros_like(x)

    integrate(velocity, torch.zeros(1, 1), Euclidean(), 2, "midpoint")
    assert times == [0, 0.25, 0.5, 0.75]


def test_anti_annealing_speeds_up_coordinates_only():
    v = CrystalState(torch.ones(1, 2, 3), torch.ones(1, 6))
    faster = anti_annealed(lambda t, x: v, 5.0)(0.4, v)
    assert torch.allclose(faster.coords, 3.0 * v.coords)
    assert torch.equal(faster.cell, v.cell)
    plain = anti_annealed(lambda t, x: v, 0.0)(0.4, v)
    assert plain is v


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="rk4"):
        integrate(lambda t, x: x, torch.zeros(1, 1), Euclidean(), 3, "heun")
    with pytest.raises(InputError, match="steps"):
        integrate(lambda t, x: x, torch.zeros(1, 1), Euclidean(), 0)
