"""Geodesics of the flat torus as pieces inside the unit square."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from flowllm.manifolds import FlatTorus

EDGE = 1e-9  # shorter pieces, in units of the path, come from rounding


SHORTEST = 1e-12
"""A step below the rounding of a coordinate goes nowhere, and cuts of it would be of no length."""


def geodesic_pieces(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The shortest path from x to y, cut where it leaves one edge and enters the opposite one.

    Args:
        x, y: (2,) points of T^2 in [0, 1).

    Returns:
        (K, 2, 2) starts and ends in the closed unit square, in the path's order; their lengths add
        up to the geodesic distance. K is 1 inside the square, at most 3, and 0 if x is y.
    """
    start = np.asarray(x, dtype=np.float64)
    log = FlatTorus().logmap(torch.from_numpy(start), torch.as_tensor(y, dtype=torch.float64))
    return straight_pieces(start, start + log.numpy())


def straight_pieces(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """A straight line of the plane, cut at whole numbers and each piece moved into the square.

    Args:
        start, end: (2,).

    Returns:
        (K, 2, 2) starts and ends.
    """
    start, step = np.asarray(start, dtype=np.float64), np.asarray(end - start, dtype=np.float64)
    step = np.where(np.abs(step) < SHORTEST, 0.0, step)
    cuts = {0.0, 1.0}
    for origin, length in zip(start, step, strict=True):
        if length:
            low, high = sorted((origin, origin + length))
            crossed = np.arange(np.ceil(low), np.floor(high) + 1)
            cuts.update(t for t in ((crossed - origin) / length).tolist() if 0.0 < t < 1.0)
    times = sorted(cuts)
    pieces = []
    for first, last in pairwise(times):
        if not step.any() or last - first < EDGE:
            continue
        # The tile of a piece is that of its middle: its ends may lie on an edge.
        tile = np.floor(start + step * (first + last) / 2)
        pieces.append(np.stack([start + step * first - tile, start + step * last - tile]))
    return np.clip(np.array(pieces).reshape(-1, 2, 2), 0.0, 1.0)
