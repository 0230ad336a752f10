"""A small network trained on pairs, with the wrap or without: the whole of flow matching."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from flowllm.errors import InputError
from flowllm.manifolds import Euclidean, FlatTorus
from flowllm.manifolds.base import TensorManifold
from flowllm.methods.flow.ode import integrate
from flowllm_widgets.torus.matching import Pairs

HARMONICS = 4
HIDDEN, LAYERS = 128, 3
BATCH, STEPS = 256, 2000
LEARNING_RATE = 5e-3


@dataclass(frozen=True)
class Geometry:
    """The geometry assumed in training.

    Attributes:
        name: for people.
        manifold: gives the target log_x0(x1), the path and the steps of the solver.
        period: of the sines and cosines that the network sees; 1 is the torus's. 0 for plain
            coordinates.
    """

    name: str
    manifold: TensorManifold
    period: int

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(M, 2) points as the network sees them: (M, width)."""
        if not self.period:
            return 2.0 * x - 1.0
        harmonics = torch.arange(1, HARMONICS * self.period + 1) / self.period
        angle = 2.0 * math.pi * x[:, None, :] * harmonics[:, None]
        return torch.cat([angle.sin(), angle.cos()], 1).flatten(1)

    @property
    def width(self) -> int:
        """Number of features."""
        return 4 * HARMONICS * self.period or 2


WITH_WRAP = Geometry("with wrap", FlatTorus(), 1)
WITHOUT_WRAP = Geometry("without wrap", Euclidean(), 0)
WITHOUT_WRAP_SINES = Geometry("without wrap", Euclidean(), 2)
"""Its sines have period 2: opposite edges stay as far apart as can be."""


class VelocityMLP(nn.Module):
    """v(t, x): a few layers on the features of x and of t."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        sizes = [geometry.width + 3, *[HIDDEN] * LAYERS]
        parts: list[nn.Module] = []
        for before, after in pairwise(sizes):
            parts += [nn.Linear(before, after), nn.SiLU()]
        self.net = nn.Sequential(*parts, nn.Linear(HIDDEN, 2))

    def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The velocity (M, 2) at times (M,) and points (M, 2)."""
        phase = math.pi * t[:, None]
        time = torch.cat([2.0 * t[:, None] - 1.0, phase.sin(), phase.cos()], -1)
        return self.net(torch.cat([self.geometry.features(x), time], -1))


class Learner:
    """Training that can be paused, and the flow that it has learnt so far.

    The loss is E |v(t, x_t) - log_x0(x1)|^2 over t ~ U(0, 1), x_t = exp_x0(t log_x0(x1)) and the
    pairs (Chen & Lipman, arXiv 2302.03660, section 3); Adam, cosine schedule to zero.

    Args:
        pairs: what batches are drawn from.
        geometry: with the wrap or without.
        seed: of the network and of the batches.
        steps: of the whole training.

    Attributes:
        losses: the loss of every step so far.
    """

    def __init__(self, pairs: Pairs, geometry: Geometry, seed: int, steps: int = STEPS) -> None:
        if steps < 1:
            raise InputError(f"steps must be 1 or more, not {steps}")
        self.pairs, self.geometry, self.steps = pairs, geometry, steps
        self.generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = VelocityMLP(geometry)
        self.optimizer = torch.optim.Adam(self.net.parameters(), LEARNING_RATE)
        self.losses: list[float] = []

    @property
    def done(self) -> bool:
        """Whether all steps were taken."""
        return len(self.losses) >= self.steps

    def constant_loss(self) -> float:
        """The loss of the best constant velocity, the mean of all log_x0(x1)."""
        log = self.geometry.manifold.logmap(self.pairs.start, self.pairs.end)
        return float((log - log.mean(0)).square().sum(-1).mean())

    def train(self, count: int) -> None:
        """Run the next `count` steps, or the remaining ones."""
        manifold = self.geometry.manifold
        for step in range(len(self.losses), min(len(self.losses) + count, self.steps)):
            rate = 0.5 * LEARNING_RATE * (1.0 + math.cos(math.pi * step / self.steps))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            chosen = torch.randint(len(self.pairs), (BATCH,), generator=self.generator)
            start, end = self.pairs.start[chosen], self.pairs.end[chosen]
            t = torch.rand(BATCH, generator=self.generator)
            target = manifold.logmap(start, end)
            predicted = self.net(t, manifold.expmap(start, manifold.scale(target, t)))
            loss = (predicted - target).square().sum(-1).mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.losses.append(float(loss.detach()))

    @torch.no_grad()
    def velocity(self, t: float, x: torch.Tensor) -> torch.Tensor:
        """The learnt velocity (M, 2) at points (M, 2)."""
        return self.net(torch.full((len(x),), float(t)), x)

    def flow(self, start: torch.Tensor, steps: int = 50, solver: str = "midpoint") -> torch.Tensor:
        """(steps + 1, M, 2) points of the learnt flow from t = 0 to 1.

        On the torus they stay in [0, 1); without the wrap they may leave the square.
        """
        frames: list[torch.Tensor] = []
        integrate(
            self.velocity, start, self.geometry.manifold, steps, solver,
            lambda _, x: frames.append(x),
        )  # fmt: skip
        return torch.stack(frames)
