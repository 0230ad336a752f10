"""Steps of the diffusion, forwards and back (arXiv 2309.04475, algorithms 1 and 2).

Steps back may leave out noise levels between two that are visited: t is the present level, s < t
the next one.
"""

from __future__ import annotations

import torch

from flowllm.manifolds.torus import FlatTorus
from flowllm.methods.diffcsp.schedule import FIRST_SIGMA, Schedule


def noised(clean: torch.Tensor, noise: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
    """√ᾱ x + √(1-ᾱ) ε; `alpha_bar` broadcasts."""
    return alpha_bar.sqrt() * clean + (1.0 - alpha_bar).sqrt() * noise


def wrapped_noised(
    coords: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor | float
) -> torch.Tensor:
    """w(f + σ ε), in [0, 1)."""
    return FlatTorus().projx(coords + sigma * noise)


def denoised(
    x: torch.Tensor,
    predicted: torch.Tensor,
    noise: torch.Tensor | None,
    levels: Schedule,
    t: int,
    s: int,
) -> torch.Tensor:
    """A step of DDPM from t to s on a lattice or species.

    x_s = (x - β/√(1-ᾱ_t) ε̂)/√α + √(β (1-ᾱ_s)/(1-ᾱ_t)) ε, with α = ᾱ_t/ᾱ_s and β = 1 - α.

    Args:
        x: at t.
        predicted: ε̂, the noise in x.
        noise: ε, standard normal; None for none.
        levels: of noise.
        t: present step.
        s: next step, smaller.
    """
    now, after = float(levels.alpha_bars[t]), float(levels.alpha_bars[s])
    alpha = now / after
    mean: torch.Tensor = (x - (1.0 - alpha) / (1.0 - now) ** 0.5 * predicted) / alpha**0.5
    if noise is None:
        return mean
    return mean + ((1.0 - alpha) * (1.0 - after) / (1.0 - now)) ** 0.5 * noise


def corrected(
    coords: torch.Tensor,
    score: torch.Tensor,
    noise: torch.Tensor | None,
    levels: Schedule,
    t: int,
    gamma: float,
) -> torch.Tensor:
    """A Langevin step at level t: w(f + d s + √(2d) ε), d = γ (σ_t/σ_1)².

    Args:
        coords: at t.
        score: of the density at t, not normalised.
        noise: standard normal; None for none.
        levels: of noise.
        t: step.
        gamma: size γ.
    """
    size = gamma * (float(levels.sigmas[t]) / FIRST_SIGMA) ** 2
    moved = coords + size * score
    if noise is not None:
        moved = moved + (2.0 * size) ** 0.5 * noise
    return FlatTorus().projx(moved)


def predicted(
    coords: torch.Tensor,
    score: torch.Tensor,
    noise: torch.Tensor | None,
    levels: Schedule,
    t: int,
    s: int,
) -> torch.Tensor:
    """A step of the reverse process: w(f + (σ_t²-σ_s²) s + σ_s/σ_t √(σ_t²-σ_s²) ε).

    Args:
        coords: at t.
        score: of the density at t, not normalised.
        noise: standard normal; None for none.
        levels: of noise.
        t: present step.
        s: next step, smaller.
    """
    now, after = float(levels.sigmas[t]), float(levels.sigmas[s])
    less = now**2 - after**2
    moved = coords + less * score
    if noise is not None:
        moved = moved + after / now * less**0.5 * noise
    return FlatTorus().projx(moved)
