"""The flat torus of fractional coordinates, period 1 (FlowMM, arXiv 2406.04713, section 3)."""

from __future__ import annotations

import math

import torch

from flowllm.manifolds.base import TensorManifold


class FlatTorus(TensorManifold):
    """T^d = R^d / Z^d; a point is given by coordinates in [0, 1), of any leading shape."""

    def expmap(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """exp_x(u) = x + u - floor(x + u), in [0, 1)."""
        return self.projx(x + u)

    def logmap(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """log_x(y) = atan2(sin w, cos w) / 2 pi, w = 2 pi (y - x), per coordinate."""
        angle = 2.0 * math.pi * (y - x)
        return torch.atan2(torch.sin(angle), torch.cos(angle)) / (2.0 * math.pi)

    def projx(self, x: torch.Tensor) -> torch.Tensor:
        """Coordinates in [0, 1): a tiny negative number would round to 1 and gives 0."""
        wrapped = x - torch.floor(x)
        return torch.where(wrapped >= 1.0, torch.zeros_like(wrapped), wrapped)

    def proju(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Every vector is tangent."""
        return u

    def squared_distance(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Squared geodesic distance over the last axis."""
        return self.logmap(x, y).square().sum(-1)
