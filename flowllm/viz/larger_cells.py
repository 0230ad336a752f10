"""The same crystal, or trajectory, in the cell of its conventional setting."""

from __future__ import annotations

import itertools

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters, lattice_matrices
from flowllm.crystals.trajectory import Trajectory
from flowllm.symmetry.find import SYMPREC, dataset_of


def conventional_axes(crystal: CrystalBatch, symprec: float = SYMPREC) -> np.ndarray | None:
    """(3, 3) whole numbers: rows are the conventional axes in those of the cell, by spglib.

    None if the cell is conventional already, is none of a crystal, or is larger than the
    conventional one.

    Args:
        crystal: a batch of one.
        symprec: Å, tolerance of the symmetry.
    """
    dataset = dataset_of(crystal, symprec)
    if dataset is None:
        return None
    # spglib: (a b c) = (a_s b_s c_s) P, columns
    exact = np.linalg.inv(np.array(dataset.transformation_matrix)).T
    axes = np.round(exact).astype(np.int64)
    if np.abs(exact - axes).max() > 0.05 or round(np.linalg.det(axes)) < 1:
        return None
    return None if (axes == np.eye(3)).all() else axes


def in_cell(trajectory: Trajectory, axes: np.ndarray) -> Trajectory:
    """A trajectory of one crystal in another cell of the same lattice, or a multiple of it.

    Args:
        trajectory: T frames of N atoms.
        axes: (3, 3) whole numbers, rows: the new axes in the old ones; the determinant D is the
            number of old cells in the new one, whose D N atoms stand atom by atom.
    """
    cells = _cells(axes)
    back = np.linalg.inv(axes)
    coords = trajectory.frac_coords[:, :, None] + cells  # (T, N, D, 3)
    coords = (coords.reshape(len(trajectory), -1, 3) @ back) % 1.0
    coords[coords > 1 - 1e-9] = 0.0
    lattices = axes @ lattice_matrices(trajectory.lengths[:, 0], trajectory.angles[:, 0])
    lengths, angles = cell_parameters(lattices)
    count = len(cells)
    return Trajectory(
        trajectory.times,
        coords,
        lengths[:, None],
        angles[:, None],
        np.repeat(trajectory.atomic_numbers, count, axis=-1),
        trajectory.num_atoms * count,
        trajectory.ids,
    )


def _cells(axes: np.ndarray) -> np.ndarray:
    """(D, 3) the old cells whose origins lie in the new cell."""
    corners = np.array(list(itertools.product((0, 1), repeat=3))) @ axes
    ranges = [
        range(low, high + 1) for low, high in zip(corners.min(0), corners.max(0), strict=True)
    ]
    every = np.array(list(itertools.product(*ranges)))
    inside = every @ np.linalg.inv(axes)
    return every[((inside > -1e-6) & (inside < 1 - 1e-6)).all(1)]
