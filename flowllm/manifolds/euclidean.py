"""Flat space: the cell in its flat coordinates."""

from __future__ import annotations

import torch

from flowllm.manifolds.base import TensorManifold


class Euclidean(TensorManifold):
    """R^d with exp_x(u) = x + u."""

    def expmap(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """x + u."""
        return x + u

    def logmap(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """y - x."""
        return y - x

    def projx(self, x: torch.Tensor) -> torch.Tensor:
        """Every point is on it."""
        return x

    def proju(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Every vector is tangent."""
        return u
