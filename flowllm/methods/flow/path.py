"""The path from a sample to its target: what the flow is trained to follow."""

from __future__ import annotations

import torch

from flowllm.manifolds import CrystalManifold, CrystalState


class GeodesicPath:
    """The shortest path, c_t = exp_c0(t log_c0(c1)) (FlowLLM, section 3.2), for B crystals.

    Atoms go the short way around the cell, and the cell goes straight in its flat coordinates.

    Args:
        start: c0; coordinates (B, S, 3) and flat cells (B, 6).
        end: c1, likewise.
        mask: (B, S) bool, true where an atom is.
    """

    def __init__(self, start: CrystalState, end: CrystalState, mask: torch.Tensor) -> None:
        self.manifold = CrystalManifold(mask)
        self.start = start
        self.tangent = self.manifold.logmap(start, end)

    def at(self, t: torch.Tensor | float) -> CrystalState:
        """The crystals at a time, or at one time per crystal (B,)."""
        return self.manifold.expmap(self.start, self.manifold.scale(self.tangent, t))

    def velocity(self) -> CrystalState:
        """The constant velocity without the common translation of a crystal's atoms.

        No network that is invariant to translations could predict that part; `at` includes it.
        """
        return self.manifold.proju(self.start, self.tangent)
