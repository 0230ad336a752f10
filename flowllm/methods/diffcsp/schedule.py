"""Noise levels of DiffCSP: cosine for lattice and species, exponential for coordinates.

arXiv 2309.04475, sections 4.1, 4.2 and appendix B.1; the cosine schedule of Nichol and Dhariwal,
arXiv 2102.09672.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from flowllm.manifolds.wrapped_normal import wrapped_log_density, wrapped_score

STEPS = 1000
"""T."""
COSINE_OFFSET = 0.008
SMALLEST_BETA, LARGEST_BETA = 1e-4, 0.9999
FIRST_SIGMA, LAST_SIGMA = 0.005, 0.5
POINTS = 500
"""Of integrals over the circle: 2.5 to the smallest deviation, where sums are exact to rounding."""


def cosine_alpha_bars(steps: int = STEPS) -> torch.Tensor:
    """(T + 1,) ᾱ_0 = 1 … ᾱ_T, float64, of β clipped to [1e-4, 0.9999]."""
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    squared = torch.cos((t + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * math.pi / 2.0).square()
    betas = (1.0 - squared[1:] / squared[:-1]).clamp(SMALLEST_BETA, LARGEST_BETA)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1.0 - betas).cumprod(0)])


def exponential_sigmas(steps: int = STEPS) -> torch.Tensor:
    """(T + 1,) σ_0 = 0, σ_1 = 0.005 … σ_T = 0.5, float64: σ_t = σ_1 (σ_T/σ_1)^((t-1)/(T-1))."""
    rest = torch.logspace(
        math.log10(FIRST_SIGMA), math.log10(LAST_SIGMA), steps, dtype=torch.float64
    )
    return torch.cat([torch.zeros(1, dtype=torch.float64), rest])


def mean_squared_scores(sigmas: torch.Tensor) -> torch.Tensor:
    """E (d log w / dx)^2 of wrapped normals of these standard deviations, each of the shape (n,).

    DiffCSP estimates it from 10,000 samples; the integral over the circle is exact to rounding and
    needs no random numbers. Its inverse is the weight λ_t of the paper's loss.
    """
    x = (torch.arange(POINTS, dtype=sigmas.dtype) + 0.5) / POINTS
    return torch.stack(
        [(wrapped_log_density(x, s).exp() * wrapped_score(x, s).square()).mean() for s in sigmas]
    )


class Schedule:
    """The levels of all steps 0 … T as tensors (T + 1,) of float64; step 0 is without noise.

    Attributes:
        alpha_bars: ᾱ_t of lattice and species.
        sigmas: σ_t of coordinates, in fractional units.
        score_norms: √E(score²) of the wrapped normal of σ_t, which scores are divided by; 1 at 0.
    """

    def __init__(self) -> None:
        self.alpha_bars, self.sigmas = cosine_alpha_bars(), exponential_sigmas()
        norms = mean_squared_scores(self.sigmas[1:]).sqrt()
        self.score_norms = torch.cat([torch.ones(1, dtype=torch.float64), norms])


@lru_cache
def schedule() -> Schedule:
    """The one schedule, computed on first use."""
    return Schedule()


def entry_step(time: float) -> int:
    """Step τ = round((1 - t) T), at least 1, at which crystals enter at a time t in [0, 1)."""
    return max(1, round((1.0 - time) * STEPS))


def visited_steps(entry: int, steps: int) -> list[int]:
    """The steps that sampling visits: τ, falling, 0.

    Args:
        entry: τ in 1 … T.
        steps: of the whole way from T; crystals that enter later make their share of them, at least
            one.
    """
    count = min(entry, max(1, round(steps * entry / STEPS)))
    return [round(entry * (count - k) / count) for k in range(count + 1)]
