"""The results of an evaluation as plain data: metrics, protocol, and a row per input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.metric import Metric

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EvaluationResult:
    """Results for R inputs, B of them readable.

    Attributes:
        name: of the system, for legends.
        metrics: stage -> its figures.
        protocol: stage -> (setting -> value), beside which the figures are to be read.
        rows: a data frame of R rows, one per input in its order, unreadable ones too.
        crystals: the B readable ones, as they were given.
        data: column -> share of the reference data in each bin of `flowllm.viz.bins.BINS`.
        data_name: name of the reference.
    """

    name: str
    metrics: dict[str, list[Metric]]
    protocol: dict[str, dict[str, str]]
    rows: pd.DataFrame
    crystals: CrystalBatch
    data: dict[str, list[float]] = field(default_factory=dict)
    data_name: str = ""

    def __getitem__(self, name: str) -> Metric:
        """A figure by its name.

        Raises:
            KeyError: there is none.
        """
        for metric in self:
            if metric.name == name:
                return metric
        raise KeyError(f"{name!r}; there are: {', '.join(m.name for m in self)}")

    def __iter__(self) -> Iterator[Metric]:
        return (metric for stage in self.metrics.values() for metric in stage)

    def table(self) -> list[tuple[str, str, str, str]]:
        """Rows (stage, figure, value with interval and n, the training split's figure)."""
        return [
            (stage, metric.name, metric.text, metric.data_text)
            for stage, metrics in self.metrics.items()
            for metric in metrics
        ]
