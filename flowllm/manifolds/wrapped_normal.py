"""The normal distribution wrapped around a circle of circumference 1, and its score.

w(x; s) = sum_k N(x + k; 0, s^2), k over the whole numbers (DiffCSP, arXiv 2309.04475, section 4.2;
Jing et al., arXiv 2206.01729). With s above 0.5 it is uniform to a percent.
"""

from __future__ import annotations

import math

import torch

IMAGES = 10
"""Images on either side, as in DiffCSP; those beyond count less than float32 shows up to s = 1."""


def wrapped_log_density(
    x: torch.Tensor, sigma: torch.Tensor | float, images: int = IMAGES
) -> torch.Tensor:
    """log w(x; sigma), of any shape.

    Args:
        x: points of the circle, as differences from the mean; period 1.
        sigma: standard deviations before wrapping, above 0, of a shape that broadcasts with x.
        images: on either side.
    """
    exponents, sigma = _exponents(x, sigma, images)
    return exponents.logsumexp(-1) - sigma.log() - 0.5 * math.log(2.0 * math.pi)


def wrapped_score(
    x: torch.Tensor, sigma: torch.Tensor | float, images: int = IMAGES
) -> torch.Tensor:
    """d log w(x; sigma) / dx, of the shape of x; see `wrapped_log_density`."""
    exponents, sigma = _exponents(x, sigma, images)
    mean = (exponents.softmax(-1) * _images_of(x, images)).sum(-1)
    return -mean / sigma.square()


def _images_of(x: torch.Tensor, images: int) -> torch.Tensor:
    """(..., 2 images + 1) x and its images, x itself brought into [-1/2, 1/2]."""
    shifts = torch.arange(-images, images + 1, device=x.device, dtype=x.dtype)
    return (x - x.round())[..., None] + shifts


def _exponents(
    x: torch.Tensor, sigma: torch.Tensor | float, images: int
) -> tuple[torch.Tensor, torch.Tensor]:
    deviation = torch.as_tensor(sigma, device=x.device, dtype=x.dtype)
    squared = _images_of(x, images).square()
    return -squared / (2.0 * deviation[..., None].square()), deviation
