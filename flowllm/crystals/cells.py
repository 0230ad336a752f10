"""Cells as lengths, angles and matrices, and concatenated arrays of the atoms of several cells."""

from __future__ import annotations

import numpy as np

from flowllm.errors import InputError


def wrap(frac_coords: np.ndarray) -> np.ndarray:
    """Coordinates in [0, 1); a tiny negative number gives 0, never 1."""
    wrapped = frac_coords - np.floor(frac_coords)
    return np.where(wrapped >= 1.0, 0.0, wrapped)


def concatenated_ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """start_0 … start_0 + count_0 - 1, start_1 …: the atoms of several crystals."""
    total = int(counts.sum())
    first = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]])[: len(counts)], counts)
    return (np.arange(total) + first).astype(np.int64)


def cell_volumes(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(B,) volumes in Å^3 of cells (B, 3) in Å and (B, 3) in degrees; 0 if they span none."""
    cos = np.cos(np.radians(angles))
    squared = 1.0 - (cos**2).sum(-1) + 2.0 * cos.prod(-1)
    return lengths.prod(-1) * np.sqrt(np.clip(squared, 0.0, None))


def lattice_matrices(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(B, 3, 3) matrices with rows a, b, c: c along z, a in the xz plane, as pymatgen's.

    Raises:
        InputError: three angles that span no volume.
    """
    if (cell_volumes(lengths, angles) <= 0).any():
        raise InputError("the angles of a cell give zero volume")
    a, b, c = lengths.T
    cos_alpha, cos_beta, cos_gamma = np.cos(np.radians(angles)).T
    sin_alpha, sin_beta, _ = np.sin(np.radians(angles)).T
    cos_star = np.clip((cos_alpha * cos_beta - cos_gamma) / (sin_alpha * sin_beta), -1.0, 1.0)
    sin_star = np.sqrt(1.0 - cos_star**2)
    zero = np.zeros_like(a)
    return np.stack(
        [
            np.stack([a * sin_beta, zero, a * cos_beta], -1),
            np.stack([-b * sin_alpha * cos_star, b * sin_alpha * sin_star, b * cos_alpha], -1),
            np.stack([zero, zero, c], -1),
        ],
        axis=-2,
    )


def cell_parameters(lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (..., 3) in Å and angles (..., 3) in degrees of lattices (..., 3, 3), by rows."""
    lengths = np.linalg.norm(lattice, axis=-1)
    unit = lattice / lengths[..., None]
    cosines = (unit[..., [1, 0, 0], :] * unit[..., [2, 2, 1], :]).sum(-1)
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
