"""Solvers of dx/dt = v(t, x) from t = 0 to 1 on a flat manifold: Euler, midpoint, Runge-Kutta 4."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flowllm.errors import InputError
from flowllm.manifolds import CrystalState, Manifold

Point = TypeVar("Point")
Velocity = Callable[[float, Point], Point]
"""The tangent at a time and a point."""
Step = Callable[[Velocity, Manifold, Point, float, float], Point]


def euler_step(velocity: Velocity, manifold: Manifold, x: Point, t: float, dt: float) -> Point:
    """exp_x(dt v(t, x)); first order."""
    return manifold.expmap(x, manifold.scale(velocity(t, x), dt))


def midpoint_step(velocity: Velocity, manifold: Manifold, x: Point, t: float, dt: float) -> Point:
    """The velocity half a step ahead, taken for the whole step; second order."""
    half = euler_step(velocity, manifold, x, t, dt / 2)
    return manifold.expmap(x, manifold.scale(velocity(t + dt / 2, half), dt))


def rk4_step(velocity: Velocity, manifold: Manifold, x: Point, t: float, dt: float) -> Point:
    """Classical Runge-Kutta; fourth order."""
    k1 = velocity(t, x)
    k2 = velocity(t + dt / 2, manifold.expmap(x, manifold.scale(k1, dt / 2)))
    k3 = velocity(t + dt / 2, manifold.expmap(x, manifold.scale(k2, dt / 2)))
    k4 = velocity(t + dt, manifold.expmap(x, manifold.scale(k3, dt)))
    ends, middles = manifold.add(k1, k4), manifold.add(k2, k3)
    total = manifold.add(manifold.scale(ends, dt / 6), manifold.scale(middles, dt / 3))
    return manifold.expmap(x, total)


SOLVERS: dict[str, Step] = {"euler": euler_step, "midpoint": midpoint_step, "rk4": rk4_step}
"""The solvers by name."""
EVALUATIONS = {"euler": 1, "midpoint": 2, "rk4": 4}
"""How often each evaluates the velocity in a step."""


def integrate(
    velocity: Velocity,
    start: Point,
    manifold: Manifold,
    steps: int,
    solver: str = "euler",
    on_frame: Callable[[int, Point], None] | None = None,
    begin: float = 0.0,
) -> Point:
    """The point at t = 1 of the flow that starts at t = `begin`.

    Args:
        velocity: v(t, x), a tangent at x.
        start: the point at t = `begin`.
        manifold: where the points live.
        steps: number of equal steps.
        solver: name of a solver in `SOLVERS`.
        on_frame: called with (k, x) after k steps, k = 0 … steps.
        begin: the time at which the flow is entered, in [0, 1).

    Raises:
        InputError: no such solver, or fewer than one step.
    """
    if solver not in SOLVERS:
        raise InputError(f"unknown solver {solver!r}; choose from {', '.join(SOLVERS)}")
    if steps < 1:
        raise InputError(f"steps must be 1 or more, not {steps}")
    step, x, span = SOLVERS[solver], manifold.projx(start), 1.0 - begin
    if on_frame:
        on_frame(0, x)
    for k in range(steps):
        x = step(velocity, manifold, x, begin + span * k / steps, span / steps)
        if on_frame:
            on_frame(k + 1, x)
    return x


def anti_annealed(velocity: Velocity, strength: float) -> Velocity:
    """The velocity with that of the coordinates times 1 + strength t (FlowLLM, section 3.3)."""

    def faster(t: float, x: CrystalState) -> CrystalState:
        v = velocity(t, x)
        return CrystalState(v.coords * (1.0 + strength * t), v.cell)

    return faster if strength else velocity
