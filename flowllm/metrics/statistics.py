"""Estimates with their sample size and a bootstrap interval (Efron's percentile method)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SAMPLES = 2_000
CHUNK = 2_000_000  # resampled values held in memory at a time


@dataclass(frozen=True)
class Estimate:
    """A mean or a rate, its interval and the number of values behind it.

    Attributes:
        value: the mean; NaN of no values.
        low: lower end of the 95 % interval.
        high: upper end.
        n: values that it was computed from.
    """

    value: float
    low: float
    high: float
    n: int

    def as_percent(self) -> str:
        """As a rate, as in "96.9 % (95.8 to 97.9, n = 1000)"."""
        if not self.n:
            return "none (n = 0)"
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.value:.1f} % ({low:.1f} to {high:.1f}, n = {self.n})"

    def as_number(self, digits: int = 3) -> str:
        """As a number, as in "0.061 (0.055 to 0.068, n = 214)"."""
        if not self.n:
            return "none (n = 0)"
        value, low, high = (f"{x:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high}, n = {self.n})"


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] | None = None,
    level: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap interval of a statistic, the mean by default.

    A rate of exactly 0 or 1 has an interval of no width: the sample holds nothing to resample.

    Args:
        values: (n,) numbers or booleans.
        statistic: maps resamples (s, n) to (s,); without one the mean.
        level: share of resamples inside the interval.
        samples: number of resamples.
        seed: of the random resampling; the same interval on every call.

    Returns:
        Both ends; NaN of no values.

    Raises:
        ValueError: level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    values = np.asarray(values).reshape(-1)
    if not len(values):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    if statistic is None and values.dtype == bool:
        # the number of hits in a resample is binomial: no need to draw it one by one
        drawn = rng.binomial(len(values), values.mean(), samples) / len(values)
    else:
        step = max(1, CHUNK // len(values))
        compute = statistic or (lambda resamples: resamples.mean(-1))
        sizes = [min(step, samples - start) for start in range(0, samples, step)]
        drawn = np.concatenate(
            [compute(values[rng.integers(len(values), size=(s, len(values)))]) for s in sizes]
        )
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def estimate(values: np.ndarray) -> Estimate:
    """The mean of (n,) numbers or booleans with its interval; NaN without values."""
    values = np.asarray(values).reshape(-1)
    mean = float(values.mean()) if len(values) else float("nan")
    return Estimate(mean, *bootstrap_interval(values), len(values))


def median_estimate(values: np.ndarray) -> Estimate:
    """The median of (n,) numbers with its interval; NaN without values."""
    values = np.asarray(values).reshape(-1)
    middle = float(np.median(values)) if len(values) else float("nan")
    interval = bootstrap_interval(values, lambda resamples: np.median(resamples, -1))
    return Estimate(middle, *interval, len(values))
