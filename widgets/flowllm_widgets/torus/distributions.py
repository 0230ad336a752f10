"""Distributions on the flat torus T^2 that the playground moves between."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import FlatTorus

CRYSTALS = "crystals"
JITTER = 0.012
"""Standard deviation added to crystals' coordinates, of which many are (0, 0) exactly."""
PEAK, SPREAD = (0.5, 0.5), 0.1
PEAKS, PEAKS_SPREAD = ((0.0, 0.3), (0.5, 0.8)), 0.07
RING_RADIUS, RING_WIDTH = 0.28, 0.02
SQUARES = 4

Draw = Callable[[int, torch.Generator], torch.Tensor]


def uniform(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count, 2), uniform: FlowMM's base for fractional coordinates."""
    return torch.rand(count, 2, generator=generator)


def one_peak(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count, 2), a wrapped Gaussian in the middle of the square."""
    return _peaks((PEAK,), SPREAD, count, generator)


def two_peaks(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count, 2), two wrapped Gaussians, one of them on an edge."""
    return _peaks(PEAKS, PEAKS_SPREAD, count, generator)


def checkerboard(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count, 2), uniform on the dark squares of a board of 4 by 4."""
    column = torch.randint(SQUARES, (count,), generator=generator)
    row = 2 * torch.randint(SQUARES // 2, (count,), generator=generator) + column % 2
    return (torch.stack([column, row], -1) + torch.rand(count, 2, generator=generator)) / SQUARES


def ring(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count, 2), a ring about the corner, which all four edges cut into quarters."""
    angle = 2.0 * torch.pi * torch.rand(count, generator=generator)
    radius = RING_RADIUS + RING_WIDTH * torch.randn(count, generator=generator)
    return FlatTorus().projx(radius[:, None] * torch.stack([angle.cos(), angle.sin()], -1))


def crystal_sites(crystals: CrystalBatch | None = None) -> Draw:
    """Coordinates x and y of atoms in real crystals, each blurred by `JITTER`.

    Args:
        crystals: whose atoms; left out, those of `flowllm.teaching.textbook`, which takes
            some seconds at the first draw.

    Raises:
        InputError: a batch without atoms.
    """
    if crystals is not None and not len(crystals.atomic_numbers):
        raise InputError("these crystals have no atoms")

    @cache
    def places() -> torch.Tensor:
        from flowllm.teaching.textbook import textbook_structures

        known = textbook_structures().crystals if crystals is None else crystals
        return torch.from_numpy(known.frac_coords[:, :2]).float()

    def draw(count: int, generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(len(places()), (count,), generator=generator)
        blur = JITTER * torch.randn(count, 2, generator=generator)
        return FlatTorus().projx(places()[chosen] + blur)

    return draw


def distributions(crystals: CrystalBatch | None = None) -> dict[str, Draw]:
    """The distributions by name; a draw takes a count and a generator and gives points in [0, 1)^2.

    Args:
        crystals: see `crystal_sites`.
    """
    return {
        "uniform": uniform,
        "one peak": one_peak,
        "two peaks": two_peaks,
        "checkerboard": checkerboard,
        "ring": ring,
        CRYSTALS: crystal_sites(crystals),
    }


def _peaks(
    centres: tuple[tuple[float, float], ...], spread: float, count: int, generator: torch.Generator
) -> torch.Tensor:
    chosen = torch.tensor(centres)[torch.randint(len(centres), (count,), generator=generator)]
    return FlatTorus().projx(chosen + spread * torch.randn(count, 2, generator=generator))
