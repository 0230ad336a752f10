"""Charts of one or several evaluations, over the data's distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowllm.evaluation.metric import SHARE
from flowllm.evaluation.result import EvaluationResult
from flowllm.evaluation.stages import RATES
from flowllm.viz.bins import BINS, shares
from flowllm.viz.charts import rates_chart, shares_chart

if TYPE_CHECKING:
    import plotly.graph_objects as go


def charts(evaluations: Sequence[EvaluationResult]) -> dict[str, go.Figure]:
    """Key of `flowllm.viz.bins.TITLES` -> figure, for each with values in an evaluation."""
    figures = {}
    rates = [name for name in RATES if any(m.name == name for one in evaluations for m in one)]
    if rates:
        found = [(one.name, {m.name: m for m in one if m.unit == SHARE}) for one in evaluations]
        figures["validity"] = rates_chart(found, rates)
    for column in BINS:
        systems = [(one.name, _shares(one, column)) for one in evaluations]
        if any(found is not None for _, found in systems):
            behind = next((one for one in evaluations if column in one.data), None)
            data = (behind.data[column], behind.data_name) if behind is not None else (None, "")
            figures[column] = shares_chart(column, systems, *data)
    return figures


def _shares(evaluation: EvaluationResult, column: str) -> list[float] | None:
    """Share of an evaluation's crystals in each bin of a column; None if it has no values."""
    if column not in evaluation.rows:
        return None
    values = evaluation.rows[column].to_numpy(dtype=float, na_value=np.nan)
    return shares(column, values) if np.isfinite(values).any() else None
