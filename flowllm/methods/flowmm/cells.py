"""Cells whose three angles, each valid by itself, give no volume together."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.cells import cell_volumes

LEFT = 0.05
"""Å^3 that such a cell is given: enough to be a cell, too little to be a valid one (0.1)."""
HALVINGS = 60


def with_volume(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Angles (B, 3) in degrees, moved towards 90° where the volume is below 0.05 Å^3.

    The map from R^6 to cells holds each angle in its bounds, not all three together: between 59.9°
    and 120.1° three angles near 120° span none. What has no volume could neither be drawn nor
    written; it stays invalid, and is counted as that.

    Args:
        lengths: (B, 3) in Å.
        angles: (B, 3) in degrees.
    """
    flat = cell_volumes(lengths, angles) < np.minimum(LEFT, 0.5 * lengths.prod(-1))
    if not flat.any():
        return angles
    wanted = np.minimum(LEFT, 0.5 * lengths[flat].prod(-1))
    away = angles[flat] - 90.0
    low: np.ndarray = np.zeros(len(away))
    high: np.ndarray = np.ones(len(away))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        legal = cell_volumes(lengths[flat], 90.0 + middle[:, None] * away) >= wanted
        low, high = np.where(legal, middle, low), np.where(legal, high, middle)
    result = angles.copy()
    result[flat] = 90.0 + low[:, None] * away
    return result
