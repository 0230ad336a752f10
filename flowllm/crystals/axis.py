"""Axis: the coordinate of a trajectory's frames, where it is not the time t of a flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.errors import InputError


def place(times: np.ndarray, axis: Axis | None, frame: int) -> str:
    """The label of a frame: its time, as in "t = 0.50", or its value on the axis if any."""
    return f"t = {times[frame]:.2f}" if axis is None else axis.text(frame)


@dataclass(frozen=True)
class Axis:
    """The values of T frames in the terms of the method that made them.

    Attributes:
        name: as in "diffusion step" or "noise level".
        values: (T,) float64, one for each frame.
        unit: as in "Å"; "" for none.

    Raises:
        InputError: it has no name, or a value is not finite.
    """

    name: str
    values: np.ndarray
    unit: str = ""

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64).reshape(-1)
        if not self.name:
            raise InputError("the axis of a trajectory needs a name")
        if not np.isfinite(values).all():
            raise InputError(f"the axis {self.name!r} holds a value that is not finite")
        object.__setattr__(self, "values", values)

    @property
    def title(self) -> str:
        """As in "noise level (Å)"."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def number(self, frame: int) -> str:
        """The value of a frame, to three significant digits of the largest."""
        return f"{self.values[frame]:.4g}"

    def text(self, frame: int) -> str:
        """As in "noise level 0.316 Å"."""
        return f"{self.name} {self.number(frame)}{' ' if self.unit else ''}{self.unit}"

    def same(self, other: Axis | None) -> bool:
        """Whether another is the same axis."""
        return (
            other is not None
            and (self.name, self.unit) == (other.name, other.unit)
            and np.array_equal(self.values, other.values)
        )
