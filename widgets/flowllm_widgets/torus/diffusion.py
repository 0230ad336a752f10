"""Diffusion on the flat torus with the exact score of some points (DiffCSP, section 4.2).

A point y becomes w(y + sigma_t e), e normal; at the largest sigma nothing of y is left. The way
back needs the score of what the points have become, which for finitely many of them is a sum. Time
runs as for a flow, from 0 at the noise to 1 at the points.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from flowllm.errors import InputError
from flowllm.manifolds.wrapped_normal import wrapped_log_density, wrapped_score
from flowllm_widgets.torus.matching import TORUS, Pairs, marginal_velocity

LEAST, MOST = 0.005, 0.5
"""sigma_1 and sigma_T of DiffCSP."""
IMAGES = 3  # up to sigma 0.5 further ones add less than 1e-9
CORRECTION = 0.1
"""How far a corrector step goes, over the squared sigma; DiffCSP's 1e-5 / 0.005^2 is 0.4."""


def noise_levels(steps: int) -> torch.Tensor:
    """(steps + 1,) standard deviations from `MOST` down to `LEAST`, exponentially, and 0.

    Raises:
        InputError: fewer than 2 steps.
    """
    if steps < 2:
        raise InputError(f"a diffusion takes at least 2 steps, not {steps}")
    ratio = torch.linspace(1.0, 0.0, steps)
    return torch.cat([LEAST * (MOST / LEAST) ** ratio, torch.zeros(1)])


def mixture_score(x: torch.Tensor, points: torch.Tensor, sigma: float) -> torch.Tensor:
    """(M, 2) the score at x (M, 2) of points (N, 2) that were blurred by sigma, exactly.

    The density is the mean over points of products of wrapped normals, its score the mean of theirs
    weighted by how likely each point is to have come here.
    """
    offset = x[:, None] - points[None]
    weight = wrapped_log_density(offset, sigma, IMAGES).sum(-1).softmax(-1)
    return torch.einsum("mn,mnd->md", weight, wrapped_score(offset, sigma, IMAGES))


def blurred(points: torch.Tensor, frames: int, seed: int) -> torch.Tensor:
    """(frames, N, 2) the points under decreasing noise: the path to noise, reversed."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(points.shape, generator=generator)
    return torch.stack([TORUS.projx(points + s * noise) for s in noise_levels(frames - 1)])


def reverse(
    start: torch.Tensor, points: torch.Tensor, steps: int, seed: int, correct: bool = True
) -> torch.Tensor:
    """(steps + 1, M, 2) the reverse path from noise, by predictor and corrector.

    As DiffCSP's code has it: at each level first a step of Langevin dynamics, then the ancestral
    step x <- w(x + (s^2 - r^2) score + r sqrt(s^2 - r^2) / s e) from level s to the next, r.

    Args:
        start: (M, 2) uniform points.
        points: (N, 2) what is to be reached.
        steps: levels of noise.
        seed: of the noise.
        correct: with the corrector.
    """
    generator = torch.Generator().manual_seed(seed)
    levels = noise_levels(steps).tolist()
    x, frames = start, [start]

    def normal() -> torch.Tensor:
        return torch.randn(x.shape, generator=generator)

    for sigma, lower in pairwise(levels):
        if correct:
            size = CORRECTION * sigma**2
            x = x + size * mixture_score(x, points, sigma) + (2.0 * size) ** 0.5 * normal()
        gap = sigma**2 - lower**2
        x = x + gap * mixture_score(x, points, sigma) + lower * gap**0.5 / sigma * normal()
        x = TORUS.projx(x)
        frames.append(x)
    return torch.stack(frames)


def flowed(start: torch.Tensor, pairs: Pairs, steps: int) -> torch.Tensor:
    """(steps + 1, M, 2) the same start along the exact marginal velocity, by Euler's method."""
    x, frames = start, [start]
    for k in range(steps):
        velocity, _ = marginal_velocity(x, k / steps, pairs)
        x = TORUS.projx(x + velocity / steps)
        frames.append(x)
    return torch.stack(frames)
