"""Network inputs from geometry and time: periodic, translation-invariant features."""

from __future__ import annotations

import math

import torch
from torch import nn


def time_embedding(t: torch.Tensor, size: int) -> torch.Tensor:
    """Sinusoidal embedding (B, size) of times (B,) in [0, 1], periods from 2 pi to 2 pi / 1000."""
    rates = torch.exp(
        torch.linspace(0.0, math.log(1000.0), size // 2, device=t.device, dtype=t.dtype)
    )
    phases = t[:, None] * rates
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def difference_features(frac_coords: torch.Tensor, num_frequencies: int) -> torch.Tensor:
    """Sinusoidal embedding of log_fi(fj) (DiffCSP, equation 8): sin and cos of 2 pi k (f_j - f_i).

    Computed from the atoms' own sines and cosines by the addition theorem, so that no
    transcendental function is evaluated per edge.

    Args:
        frac_coords: (B, S, 3).
        num_frequencies: K; frequencies k are 1 … K.

    Returns:
        (B, S, S, 6 K); the second axis is i, the third j; first all sines, then all cosines,
        axis of the cell slower than frequency.
    """
    rates = (
        2.0
        * math.pi
        * torch.arange(1, num_frequencies + 1, device=frac_coords.device, dtype=frac_coords.dtype)
    )
    phases = (frac_coords[..., None] * rates).flatten(-2)
    sin, cos = phases.sin(), phases.cos()
    sin_i, sin_j, cos_i, cos_j = sin[:, :, None], sin[:, None], cos[:, :, None], cos[:, None]
    width = phases.shape[-1]
    batch, size = frac_coords.shape[:2]
    out = frac_coords.new_empty(batch, size, size, 2 * width)
    torch.addcmul(sin_j * cos_i, cos_j, sin_i, value=-1.0, out=out[..., :width])
    torch.addcmul(cos_j * cos_i, sin_j, sin_i, out=out[..., width:])
    return out


def image_distances(frac_coords: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
    """Distances (B, S, S) in Å to the nearest of the eight images around each atom.

    The eight are the corners of the cell that the difference lies in. One image alone, each
    coordinate wrapped by itself, would jump where a difference passes 1/2, which is where atoms of
    symmetric crystals are; the least of eight is the same on both sides. In a strongly skewed cell
    the nearest image can lie farther out; in reduced cells that is rare.

    Args:
        frac_coords: (B, S, 3).
        metric: (B, 3, 3) metric tensors in Å^2.
    """
    batch, size = frac_coords.shape[:2]
    difference = frac_coords[:, None] - frac_coords[:, :, None]
    difference = (difference - difference.floor()).reshape(batch, size * size, 3)
    axes = torch.arange(2, device=metric.device, dtype=metric.dtype)
    corners = torch.cartesian_prod(axes, axes, axes)
    # |d - c|^2 = d G d - 2 d G c + c G c, so that only a (3 x 8) product is done per edge.
    product = torch.bmm(difference, metric)
    own = (product * difference).sum(-1)
    corner = torch.einsum("kx,bxy,ky->bk", corners, metric, corners)
    others = torch.baddbmm(corner[:, None], product, corners.T.expand(batch, 3, 8), alpha=-2.0)
    squared = own + others.amin(-1)
    return squared.clamp(min=0.0).sqrt().reshape(batch, size, size)


def cell_relations(metric: torch.Tensor) -> torch.Tensor:
    """Numbers (B, 13) that encode the symmetry and size of cells.

    Three cosines of angles; three projections of one cell vector on a shorter one, which are one
    half in reduced centred cells; three logarithms of ratios of lengths, which are 0 where two are
    equal; the logarithms of the three lengths and of the volume, in Å.

    Args:
        metric: (B, 3, 3) metric tensors in Å^2.
    """
    squared = metric.diagonal(dim1=-2, dim2=-1).clamp(min=1e-6)
    logs = squared.log() / 2
    first, second = [1, 0, 0], [2, 2, 1]  # the pairs of axes
    products = metric[:, first, second]
    cosines = products / (squared[:, first] * squared[:, second]).sqrt()
    projections = products / torch.minimum(squared[:, first], squared[:, second])
    volume = torch.linalg.det(metric).clamp(min=1e-6).log()[:, None] / 2
    return torch.cat([cosines, projections, logs[:, first] - logs[:, second], logs, volume], dim=-1)


def cell_features(metric: torch.Tensor, num_frequencies: int) -> torch.Tensor:
    """Sines and cosines (B, 26 K) of `cell_relations` at rates 1, 2, 4, … 2^(K - 1).

    A cell differs from the right one by a strain of about 0.01, which the standardised cell alone
    shows as a hundredth of its range; at the rate 128 it is a whole radian.

    Args:
        metric: (B, 3, 3) metric tensors in Å^2.
        num_frequencies: K.
    """
    rates = 2.0 ** torch.arange(num_frequencies, device=metric.device, dtype=metric.dtype)
    phases = (cell_relations(metric)[..., None] * rates).flatten(1)
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


class RadialBasis(nn.Module):
    """Gaussians of a distance, centres evenly from 0 to `cutoff` Å.

    Args:
        size: number of Gaussians; their width is the spacing of the centres.
        cutoff: the last centre in Å; longer distances fade to zero features.
    """

    centres: torch.Tensor

    def __init__(self, size: int, cutoff: float = 6.0) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(0.0, cutoff, size), persistent=False)
        self.width = cutoff / max(size - 1, 1)

    def forward(self, distances: torch.Tensor) -> torch.Tensor:
        """Features (..., size) of distances (...) in Å."""
        scaled = (distances[..., None] - self.centres) / self.width
        return torch.exp(scaled.square().mul(-0.5))
