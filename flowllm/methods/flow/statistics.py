"""Statistics of the pairs that standardise the network's inputs and outputs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowllm.errors import InputError
from flowllm.runs.json_object import JsonObject


@dataclass(frozen=True)
class FlowStatistics:
    """Means and standard deviations over pairs; checks itself.

    Attributes:
        cell_mean, cell_std: 6 numbers each, of the flat cells at both ends of the paths.
        cell_velocity_mean, cell_velocity_std: 6 numbers each, of l1 - l0 in flat coordinates.
        coord_velocity_std: root mean square of a component of log_f0(f1) less its mean over atoms.

    Raises:
        InputError: a wrong number of values, one not finite, or a deviation that is not positive.
    """

    cell_mean: tuple[float, ...]
    cell_std: tuple[float, ...]
    cell_velocity_mean: tuple[float, ...]
    cell_velocity_std: tuple[float, ...]
    coord_velocity_std: float

    def __post_init__(self) -> None:
        for name in ("cell_mean", "cell_std", "cell_velocity_mean", "cell_velocity_std"):
            values = tuple(float(v) for v in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != 6 or not np.isfinite(values).all():
                raise InputError(f"{name} must be six finite numbers, not {values}")
            if name.endswith("std") and min(values) <= 0:
                raise InputError(f"{name} must be positive, not {values}")
        if not (np.isfinite(self.coord_velocity_std) and self.coord_velocity_std > 0):
            raise InputError(f"coord_velocity_std must be positive, not {self.coord_velocity_std}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Any) -> FlowStatistics:
        """Inverse of `to_dict`.

        Raises:
            InputError: a value is missing or wrong.
        """
        record = JsonObject(values, "the statistics")
        lists = ("cell_mean", "cell_std", "cell_velocity_mean", "cell_velocity_std")
        mean, std, velocity_mean, velocity_std = (
            tuple(record.numbers(name, length=6)) for name in lists
        )
        return cls(mean, std, velocity_mean, velocity_std, record.number("coord_velocity_std"))

    @classmethod
    def identity(cls) -> FlowStatistics:
        """Statistics that change nothing."""
        return cls((0.0,) * 6, (1.0,) * 6, (0.0,) * 6, (1.0,) * 6, 1.0)
