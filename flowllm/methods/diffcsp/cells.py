"""Lattice matrices of a diffusion as valid cells."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.cells import cell_parameters

LARGEST = 1e3
"""Å that no entry of a lattice matrix goes beyond, so that all that follows from it is finite."""
FLATTEST = 1e-3
"""The least singular value of a written cell, as a share of the largest."""
SMALLEST = 0.3
"""Å below which no singular value of a written cell falls."""


def written_cells(lattices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (B, 3) in Å and angles (B, 3) in degrees of matrices (B, 3, 3), always with a volume.

    A diffusion bounds no cell, and noise is often flat, but angles that span no volume are refused
    by everything that reads a crystal. Singular values under a thousandth of the largest (or
    0.3 Å) are therefore raised to it, which leaves all other cells as they are. What was thinner
    than 0.3 Å still is invalid in an evaluation, as an atom is too near its own image.
    """
    left, values, right = np.linalg.svd(lattices)
    least = np.maximum(FLATTEST * values[:, :1], SMALLEST)
    flat = (values < least).any(1)
    kept = np.array(lattices, dtype=np.float64)
    kept[flat] = (left[flat] * np.maximum(values, least)[flat][:, None]) @ right[flat]
    lengths, angles = cell_parameters(kept)
    return lengths, angles
