"""The conditional path from the base to a crystal, species included (FlowMM, section 3.3).

Coordinates and cell go as in `flowllm.methods.flow.path`; analog bits go straight.
"""

from __future__ import annotations

import torch

from flowllm.manifolds import OpenCrystalManifold, OpenCrystalState
from flowllm.methods.flow.ode import Velocity


class OpenGeodesicPath:
    """The shortest path, c_t = exp_c0(t log_c0(c1)), for B crystals.

    Args:
        start: c0; coordinates (B, S, 3), flat cells (B, 6), bits (B, S, 7), or (B, S, 0).
        end: c1, likewise.
        mask: (B, S) bool, true where an atom is.
    """

    def __init__(self, start: OpenCrystalState, end: OpenCrystalState, mask: torch.Tensor) -> None:
        self.manifold = OpenCrystalManifold(mask)
        self.start = start
        self.tangent = self.manifold.logmap(start, end)

    def at(self, t: torch.Tensor | float) -> OpenCrystalState:
        """The crystals at a time, or at one time per crystal (B,)."""
        return self.manifold.expmap(self.start, self.manifold.scale(self.tangent, t))

    def velocity(self) -> OpenCrystalState:
        """The constant velocity without the common translation of a crystal's atoms.

        Its coordinates are displacements along geodesics, less their mean; a translation of either
        end that leaves every geodesic on its way around the cell changes nothing in it.
        """
        return self.manifold.proju(self.start, self.tangent)


def anti_annealed(
    velocity: Velocity[OpenCrystalState], strength: float
) -> Velocity[OpenCrystalState]:
    """The velocity with that of the coordinates alone times 1 + strength t."""

    def faster(t: float, x: OpenCrystalState) -> OpenCrystalState:
        v = velocity(t, x)
        return v._replace(coords=v.coords * (1.0 + strength * t))

    return faster if strength else velocity
