"""Cells in the parametrisations of the flow: curves of an angle, their slopes, and paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_volumes, lattice_matrices
from flowllm.errors import InputError
from flowllm.manifolds import CELL_MAPS, CellMap, Euclidean
from flowllm.manifolds.lattice import LogitCell
from flowllm.viz.structure3d import cell_edges

PRINTED = "as printed"
MAPS: dict[str, CellMap] = {
    **CELL_MAPS,
    PRINTED: LogitCell(PRINTED, 60.0, 180.0, log_lengths=False),
}
"""The parametrisations of the package, and logit((angle - 60) / 120), which FlowLLM's paper prints:
its inverse reaches 180 degrees, and it takes 120 degrees to 0."""
ANGLES = "αβγ"
HALF_STEP = 1e-3  # degrees, of the central difference
FLAT = 1e-5  # volume over a b c; rounding leaves three angles of 120 degrees 1e-8
TOLERANCE = 0.05  # degrees, Å; a cell that comes back further off is not held by a map


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        lengths: (a, b, c) in Å.
        angles: (alpha, beta, gamma) in degrees.
    """

    lengths: tuple[float, float, float]
    angles: tuple[float, float, float]

    @classmethod
    def of(cls, crystals: CrystalBatch, index: int = 0) -> Cell:
        """The cell of one crystal of a batch."""
        lengths, angles = crystals.lengths[index].tolist(), crystals.angles[index].tolist()
        return cls(tuple(lengths), tuple(angles))

    @property
    def volume(self) -> float:
        """Volume in Å^3; 0 if the angles give none."""
        return float(cell_volumes(np.array([self.lengths]), np.array([self.angles]))[0])

    @property
    def problem(self) -> str:
        """Why the cell is impossible, or nothing."""
        if min(self.lengths) <= 0:
            return "a length must be above 0"
        if self.volume > FLAT * float(np.prod(self.lengths)):
            return ""
        if sum(self.angles) > 359.99:
            return f"no such cell: α + β + γ = {sum(self.angles):g}° must be below 360°"
        largest = int(np.argmax(self.angles))
        others = [k for k in range(3) if k != largest]
        sign = " + ".join(ANGLES[k] for k in others)
        reach = sum(self.angles[k] for k in others)
        return (
            f"no such cell: {ANGLES[largest]} = {self.angles[largest]:g}° must be below "
            f"{sign} = {reach:g}°"
        )

    @property
    def edges(self) -> np.ndarray:
        """(12, 2, 3) Å, starts and ends of the edges, the origin at 0.

        Raises:
            InputError: the angles span no volume.
        """
        return cell_edges(lattice_matrices(np.array([self.lengths]), np.array([self.angles]))[0])

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lengths and angles (1, 3) float64."""
        return (
            torch.tensor([self.lengths], dtype=torch.float64),
            torch.tensor([self.angles], dtype=torch.float64),
        )


@dataclass(frozen=True)
class CellPath:
    """Cells along t in one parametrisation.

    Attributes:
        times: (T,).
        lengths: (T, 3) Å; angles: (T, 3) degrees.
    """

    times: np.ndarray
    lengths: np.ndarray
    angles: np.ndarray

    @property
    def volumes(self) -> np.ndarray:
        """(T,) Å^3; 0 where the angles give none."""
        return cell_volumes(self.lengths, self.angles)

    def cell(self, index: int) -> Cell:
        """The cell at one time."""
        return Cell(tuple(self.lengths[index].tolist()), tuple(self.angles[index].tolist()))


def flat(name: str, cell: Cell) -> np.ndarray:
    """(6,) coordinates of a cell in a parametrisation."""
    return _map(name).to_flat(*cell.tensors())[0].numpy()


def held(name: str, cell: Cell) -> tuple[Cell, bool]:
    """The cell recovered from its coordinates, and whether it equals the original."""
    lengths, angles = _map(name).from_flat(_map(name).to_flat(*cell.tensors()))
    back = Cell(tuple(lengths[0].tolist()), tuple(angles[0].tolist()))
    off = np.abs(np.array([*back.lengths, *back.angles]) - [*cell.lengths, *cell.angles])
    return back, bool(off.max() < TOLERANCE)


def curve(name: str, cell: Cell, which: int, angles: np.ndarray) -> np.ndarray:
    """(M,) the coordinate phi that belongs to an angle, the rest of the cell staying.

    Args:
        name: parametrisation.
        cell: where the other angles and the lengths come from.
        which: 0 for alpha, 1 for beta, 2 for gamma.
        angles: (M,) values of that angle in degrees.

    Returns:
        NaN where log-matrix has no value because the three angles span no volume.
    """
    lengths, three = _varied(cell, which, angles)
    values = _map(name).to_flat(lengths, three)[:, 3 + which].numpy()
    return np.where(_possible(name, lengths, three), values, np.nan)


def slopes(name: str, cell: Cell, which: int, angles: np.ndarray) -> np.ndarray:
    """(M,) length of d phi / d angle per degree: how far the flat coordinates move.

    Arguments and NaN as for `curve`. In logit maps only the coordinate of this angle moves; in
    log-matrix all six may.
    """
    lengths, low = _varied(cell, which, np.asarray(angles) - HALF_STEP)
    _, high = _varied(cell, which, np.asarray(angles) + HALF_STEP)
    step = _map(name).to_flat(lengths, high) - _map(name).to_flat(lengths, low)
    values = step.norm(dim=-1).numpy() / (2.0 * HALF_STEP)
    possible = _possible(name, lengths, low) & _possible(name, lengths, high)
    return np.where(possible, values, np.nan)


def interpolate(name: str, start: Cell, target: Cell, times: np.ndarray) -> CellPath:
    """The straight line between two cells in a parametrisation, as cells.

    Args:
        name: parametrisation.
        start, target: cells at t = 0 and 1, as far as the parametrisation holds them.
        times: (T,) in [0, 1].

    Raises:
        InputError: one of the two spans no volume.
    """
    for cell in (start, target):
        if cell.problem:
            raise InputError(cell.problem)
    ends = [_map(name).to_flat(*cell.tensors()).expand(len(times), 6) for cell in (start, target)]
    line = Euclidean().geodesic(ends[0], ends[1], torch.as_tensor(times, dtype=torch.float64))
    lengths, angles = _map(name).from_flat(line)
    return CellPath(np.asarray(times), lengths.numpy(), angles.numpy())


def _map(name: str) -> CellMap:
    if name not in MAPS:
        raise InputError(f"unknown cell parametrisation {name!r}; choose from {', '.join(MAPS)}")
    return MAPS[name]


def _varied(cell: Cell, which: int, values: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    lengths, angles = (part.repeat(len(values), 1) for part in cell.tensors())
    angles[:, which] = torch.as_tensor(values, dtype=torch.float64)
    return lengths, angles


def _possible(name: str, lengths: torch.Tensor, angles: torch.Tensor) -> np.ndarray:
    """Whether a map is defined: logit for any angles, the logarithm only with a volume."""
    if isinstance(_map(name), LogitCell):
        return np.ones(len(angles), dtype=bool)
    return cell_volumes(lengths.numpy(), angles.numpy()) > 0
