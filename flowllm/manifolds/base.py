"""The manifold interface (Chen & Lipman, arXiv 2302.03660, section 3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch

Point = TypeVar("Point")
"""A tensor, or a named tuple of tensors for a product manifold; tangents have the same form."""


class Manifold(ABC, Generic[Point]):
    """A Riemannian manifold with closed-form exponential and logarithm.

    All manifolds here are flat, so parallel transport is the identity: tangents at different
    points may be added, which the solvers in `flowllm.methods.flow.ode` use.
    """

    @abstractmethod
    def expmap(self, x: Point, u: Point) -> Point:
        """The point reached from x by the tangent u in unit time, exp_x(u)."""

    @abstractmethod
    def logmap(self, x: Point, y: Point) -> Point:
        """The shortest tangent at x with exp_x(u) = y."""

    @abstractmethod
    def projx(self, x: Point) -> Point:
        """The point on the manifold that x stands for."""

    @abstractmethod
    def proju(self, x: Point, u: Point) -> Point:
        """The part of u that is tangent to the manifold at x."""

    @abstractmethod
    def scale(self, u: Point, factor: torch.Tensor | float) -> Point:
        """The tangent u times a number, or times one number per row of the batch (B,)."""

    @abstractmethod
    def add(self, u: Point, v: Point) -> Point:
        """The sum of two tangents."""

    def geodesic(self, x0: Point, x1: Point, t: torch.Tensor | float) -> Point:
        """The point at time t on the shortest path, exp_x0(t log_x0(x1)) (FlowLLM, section 3.2).

        Args:
            x0: start, reached at t = 0.
            x1: end, reached at t = 1.
            t: a number, or one per row of the batch (B,).
        """
        return self.expmap(x0, self.scale(self.logmap(x0, x1), t))


def per_row(factor: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor | float:
    """A number, or numbers (B,) shaped to multiply a tensor (B, ...)."""
    if isinstance(factor, torch.Tensor) and factor.ndim:
        return factor.reshape(-1, *[1] * (like.ndim - 1))
    return factor


class TensorManifold(Manifold[torch.Tensor]):
    """A manifold whose points and tangents are single tensors."""

    def scale(self, u: torch.Tensor, factor: torch.Tensor | float) -> torch.Tensor:
        """The tangent times a number, or one number per row (B,)."""
        return u * per_row(factor, u)

    def add(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The sum of two tangents."""
        return u + v
