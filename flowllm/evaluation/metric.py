"""One figure of an evaluation: its value, interval and sample size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowllm.metrics.statistics import Estimate, estimate
from flowllm.runs.json_object import JsonObject

SHARE = "share"
"""The unit of a rate; it is kept as a number from 0 to 1 and printed in percent."""


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes:
        name: what it is, as in "valid structure".
        value: the figure; NaN where there was nothing to compute it from.
        low: lower end of the bootstrap 95 % interval; NaN where none can be had.
        high: upper end.
        n: values behind it; of a rate the denominator.
        unit: `SHARE`, "eV/atom", "Å", "" for a plain number.
        data: the same figure of the training split measured against the test split, which is what
            a perfect model would score; None where it says nothing.
        note: how to read it, where the name alone does not say.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    unit: str = ""
    data: float | None = None
    note: str = ""

    @classmethod
    def of(cls, name: str, estimated: Estimate, unit: str = "", **more: Any) -> Metric:
        """From an estimate."""
        return cls(name, estimated.value, estimated.low, estimated.high, estimated.n, unit, **more)

    @classmethod
    def rate(cls, name: str, flags: np.ndarray, total: int | None = None, **more: Any) -> Metric:
        """Share of true ones among (n,) bool.

        Args:
            name: of the figure.
            flags: (n,) bool.
            total: a larger denominator, where inputs beyond the n count as false.
            **more: other attributes.
        """
        flags = np.asarray(flags, dtype=bool).reshape(-1)
        beyond = max(0, (total or 0) - len(flags))
        return cls.of(name, estimate(np.append(flags, np.zeros(beyond, bool))), SHARE, **more)

    @classmethod
    def mean(cls, name: str, values: np.ndarray, unit: str = "", **more: Any) -> Metric:
        """Mean of the finite ones among (n,) numbers."""
        values = np.asarray(values, dtype=float).reshape(-1)
        return cls.of(name, estimate(values[np.isfinite(values)]), unit, **more)

    @property
    def text(self) -> str:
        """Value, interval and n, as in "96.9 % (95.8 to 97.9, n = 1000)"."""
        if math.isnan(self.value):
            return f"none (n = {self.n})"
        interval = ""
        if not math.isnan(self.low):
            interval = f"{self._number(self.low)} to {self._number(self.high)}, "
        unit = " %" if self.unit == SHARE else f" {self.unit}" if self.unit else ""
        return f"{self._number(self.value)}{unit} ({interval}n = {self.n})"

    @property
    def data_text(self) -> str:
        """The training split's figure, or nothing."""
        if self.data is None or math.isnan(self.data):
            return ""
        return self._number(self.data) + (" %" if self.unit == SHARE else "")

    def _number(self, value: float) -> str:
        if self.unit == SHARE:  # one crystal of thousands shows in the second digit
            return f"{100 * value:.{2 if self.n >= 2000 else 1}f}"
        if value == 0 or abs(value) >= 100:
            return f"{value:.0f}"
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values; NaN becomes null."""
        row = asdict(self)
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Metric:
        """Inverse of `to_json`.

        Raises:
            InputError: a value is missing or of another type.
        """
        record = JsonObject(row, "a figure")
        name, unit, note = record.text("name"), record.text("unit", ""), record.text("note", "")
        value, low, high = (
            math.nan if n in record and record.values[n] is None else record.number(n)
            for n in ("value", "low", "high")
        )
        data = None if record.values.get("data") is None else record.number("data")
        return cls(name, value, low, high, record.integer("n", 0, least=0), unit, data, note)
