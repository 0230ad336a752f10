"""Cell parametrisations: lengths and angles to coordinates in R^6 and back.

The flow of the cell is Euclidean (FlowMM, section 3.2), so the cell needs flat coordinates in which
a straight line is a sensible path and an error of one unit means about the same everywhere.
Three are here; `flowllm.teaching.lattice_maps` measures them against each other.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch

from flowllm.errors import InputError

SQRT2 = math.sqrt(2.0)


class CellMap(ABC):
    """A map between cells and R^6, computed in float64 inside and returned in the input's dtype."""

    name: str

    def to_flat(self, lengths: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """Flat coordinates (B, 6) of lengths (B, 3) in Å and angles (B, 3) in degrees."""
        return self._to_flat(_double(lengths), _double(angles)).to(lengths)

    def from_flat(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Lengths (B, 3) in Å and angles (B, 3) in degrees of flat coordinates (B, 6)."""
        lengths, angles = self._from_flat(_double(flat))
        return lengths.to(flat), angles.to(flat)

    def metric(self, flat: torch.Tensor) -> torch.Tensor:
        """Metric tensors G = L L^T (B, 3, 3) in Å^2, rows of L being the cell vectors."""
        return metric_tensor(*self._from_flat(_double(flat))).to(flat)

    @abstractmethod
    def _to_flat(self, lengths: torch.Tensor, angles: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def _from_flat(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...


class LogitCell(CellMap):
    """Lengths or their logarithms, and logit((angle - low) / (high - low)).

    The paper prints logit((angle - 60) / 120), a misprint: the angles live in [60, 120]. An angle
    at or beyond a bound is moved inside it by a ten-thousandth of the range.

    Args:
        name: name in the registry.
        low, high: bounds of the angles in degrees.
        log_lengths: logarithms of lengths in Å rather than the lengths.
    """

    def __init__(self, name: str, low: float, high: float, log_lengths: bool) -> None:
        self.name, self.low, self.high, self.log_lengths = name, low, high, log_lengths

    def _to_flat(self, lengths: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        share = (angles - self.low) / (self.high - self.low)
        first = lengths.log() if self.log_lengths else lengths
        return torch.cat([first, torch.logit(share, eps=1e-4)], dim=-1)

    def _from_flat(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = (
            flat[:, :3].clamp(max=7.0).exp() if self.log_lengths else flat[:, :3].clamp(min=0.01)
        )
        return lengths, self.low + (self.high - self.low) * torch.sigmoid(flat[:, 3:])


class LogMatrixCell(CellMap):
    """The matrix logarithm of the stretch (L L^T)^(1/2), log-Euclidean (Arsigny et al. 2006).

    Six numbers: the diagonal, and the off-diagonal (bc, ac, ab) times sqrt 2, so that their
    Euclidean length is the Frobenius norm. Their trace is the logarithm of the volume. Every point
    of R^6 is a cell of positive volume, and exchanging axes exchanges entries.
    """

    name = "log-matrix"

    def _to_flat(self, lengths: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(metric_tensor(lengths, angles))
        logs = 0.5 * values.clamp(min=1e-9).log()
        m = (vectors * logs[:, None, :]) @ vectors.transpose(1, 2)
        diagonal = m.diagonal(dim1=1, dim2=2)
        return torch.cat(
            [diagonal, SQRT2 * torch.stack([m[:, 1, 2], m[:, 0, 2], m[:, 0, 1]], -1)], -1
        )

    def _from_flat(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return cell_of_metric(self._metric(flat))

    def metric(self, flat: torch.Tensor) -> torch.Tensor:
        """Metric tensors (B, 3, 3) in Å^2: the matrix exponential."""
        return self._metric(_double(flat)).to(flat)

    @staticmethod
    def _metric(flat: torch.Tensor) -> torch.Tensor:
        a, b, c = flat[:, :3].unbind(-1)
        bc, ac, ab = (flat[:, 3:] / SQRT2).unbind(-1)
        m = torch.stack([a, ab, ac, ab, b, bc, ac, bc, c], -1).reshape(-1, 3, 3)
        values, vectors = torch.linalg.eigh(m)
        # Bounds of 0.03 Å to 1,000 Å keep an untrained flow from overflowing.
        stretch = (2.0 * values.clamp(-3.5, 7.0)).exp()
        return (vectors * stretch[:, None, :]) @ vectors.transpose(1, 2)


CELL_MAPS: dict[str, CellMap] = {
    cell.name: cell
    for cell in (
        LogitCell("flowmm", 59.9, 120.1, log_lengths=False),
        LogitCell("logit", 50.0, 130.0, log_lengths=True),
        LogMatrixCell(),
    )
}
"""The parametrisations by name."""

DEFAULT_CELL_MAP = "log-matrix"


def cell_map(name: str) -> CellMap:
    """The parametrisation of that name.

    Raises:
        InputError: there is none.
    """
    if name not in CELL_MAPS:
        raise InputError(
            f"unknown cell parametrisation {name!r}; choose from {', '.join(CELL_MAPS)}"
        )
    return CELL_MAPS[name]


def metric_tensor(lengths: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """G_ij = a_i . a_j (B, 3, 3) in Å^2, of lengths (B, 3) in Å and angles (B, 3) in degrees."""
    cos = torch.cos(torch.deg2rad(angles))
    a, b, c = lengths.unbind(-1)
    bc, ac, ab = b * c * cos[:, 0], a * c * cos[:, 1], a * b * cos[:, 2]
    return torch.stack([a * a, ab, ac, ab, b * b, bc, ac, bc, c * c], -1).reshape(-1, 3, 3)


def cell_of_metric(metric: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lengths (B, 3) in Å and angles (B, 3) in degrees of metric tensors (B, 3, 3) in Å^2."""
    lengths = metric.diagonal(dim1=1, dim2=2).sqrt()
    products = torch.stack([metric[:, 1, 2], metric[:, 0, 2], metric[:, 0, 1]], -1)
    others = torch.stack(
        [
            lengths[:, 1] * lengths[:, 2],
            lengths[:, 0] * lengths[:, 2],
            lengths[:, 0] * lengths[:, 1],
        ],
        -1,
    )
    return lengths, torch.rad2deg(torch.arccos((products / others).clamp(-1.0, 1.0)))


def _double(values: torch.Tensor) -> torch.Tensor:
    """Convert to float64, off Apple's GPU, which lacks it."""
    return (values.cpu() if values.device.type == "mps" else values).double()
