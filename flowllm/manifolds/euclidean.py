"""Flat space: the cell in its flat coordinates."""

from __future__ import annotations

import torch

from flowllm.manifolds.base import TensorManifold


class Euclidean(TensorManifold):
    """R^d with exp_x(u) = x + u."""

    def expmap(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return x + u

    def logmap(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y - x

    def projx(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def proju(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return u
