"""The effect of wrapping in numbers: paths, generated points, and their positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from flowllm_widgets.torus.learner import Learner
from flowllm_widgets.torus.matching import TORUS, Pairs, marginal_velocity, mean_squared_length
from flowllm_widgets.torus.measures import edge_share, energy_distance

FEW_STEPS = 4


@dataclass(frozen=True)
class Outcome:
    """The measurements of one training.

    Attributes:
        path_length: mean squared length of the conditional paths.
        path_length_moved: the same after all points were moved by (1/2, 1/2) and wrapped.
        loss_share: mean loss of the last 100 steps over that of the best constant velocity.
        distance: energy distance of generated points to the target.
        distance_few: the same when the solver takes 4 Euler steps.
        edge: share of generated points in the band along the edges.
        left: share that has left the square at t = 1.
    """

    path_length: float
    path_length_moved: float
    loss_share: float
    distance: float
    distance_few: float
    edge: float
    left: float


def measure(learner: Learner, fresh: Pairs) -> Outcome:
    """Measure a learner on pairs that it was not trained on.

    Args:
        learner: trained, at least a step.
        fresh: starts to flow from and ends to compare with; the first half of the starts is flown
            and the second half of the ends is compared with, so that matched pairs do not help.
    """
    half = len(fresh) // 2
    start, target = fresh.start[:half], fresh.end[half:]
    end = learner.flow(start)[-1]
    few = learner.flow(start, FEW_STEPS, "euler")[-1]
    moved = Pairs(*(TORUS.projx(x + 0.5) for x in (learner.pairs.start, learner.pairs.end)))
    recent = learner.losses[-100:]
    return Outcome(
        mean_squared_length(learner.pairs, learner.geometry.manifold),
        mean_squared_length(moved, learner.geometry.manifold),
        sum(recent) / len(recent) / learner.constant_loss(),
        energy_distance(TORUS.projx(end), target),
        energy_distance(TORUS.projx(few), target),
        edge_share(TORUS.projx(end)),
        float(((end < 0) | (end >= 1)).any(-1).float().mean()),
    )


def target_outcome(fresh: Pairs) -> tuple[float, float]:
    """The score of a perfect model: energy distance of two draws, and the edges' share."""
    half = len(fresh) // 2
    return energy_distance(fresh.end[:half], fresh.end[half:]), edge_share(fresh.end)


def marginal_loss(pairs: Pairs, fresh: Pairs, seed: int, count: int = 200) -> float:
    """The loss of the exact marginal field of `pairs` on fresh ones: about the least there is.

    A network cannot get to 0: paths cross, and where they do one velocity must do for all.
    """
    generator = torch.Generator().manual_seed(seed)
    some = fresh.take(slice(0, count))
    target = TORUS.logmap(some.start, some.end)
    total = 0.0
    times = torch.rand(12, generator=generator).tolist()
    for t in times:
        velocity, _ = marginal_velocity(TORUS.geodesic(some.start, some.end, t), t, pairs)
        total += float((velocity - target).square().sum(-1).mean())
    return total / len(times)


def field_error(learnt: torch.Tensor, exact: torch.Tensor, density: torch.Tensor) -> float:
    """Root mean square of learnt less exact velocity over that of the exact one, by density.

    Args:
        learnt, exact: (T, M, 2) velocities at the same places and times.
        density: (T, M), how much each place counts.
    """
    error, size = ((learnt - exact).square().sum(-1), exact.square().sum(-1))
    return float(((error * density).sum() / (size * density).sum()).sqrt())
