"""Distances of generated points from the target."""

from __future__ import annotations

import torch

EDGE = 0.05  # width of the band along the edges, in units of the square


def embed(points: torch.Tensor) -> torch.Tensor:
    """(N, 2) points of T^2 as (N, 4) points of two circles of circumference 1."""
    angle = 2.0 * torch.pi * points
    return torch.cat([angle.cos(), angle.sin()], -1) / (2.0 * torch.pi)


def energy_distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| of two samples (N, 2) and (M, 2).

    |.| is the chord between points embedded in R^4, which makes it zero for equal distributions
    only (Szekely & Rizzo 2013), and blind to where the square was cut. Means leave out each
    point's distance to itself, so equal distributions give 0 on average, sometimes below.
    """
    a, b = embed(one.double()), embed(other.double())
    n, m = len(a), len(b)
    own = torch.cdist(a, a).sum() / (n * (n - 1)) + torch.cdist(b, b).sum() / (m * (m - 1))
    return float(2.0 * torch.cdist(a, b).mean() - own)


def edge_share(points: torch.Tensor, width: float = EDGE) -> float:
    """Share of points (N, 2) in the band along the edges; 0.19 for uniform ones."""
    return float(((points < width) | (points > 1.0 - width)).any(-1).float().mean())
