"""The page of an evaluation: figures, charts, and a table that shows the crystal clicked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from markupsafe import Markup

from flowllm.evaluation.charts import charts
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.result import EvaluationResult
from flowllm.evaluation.stages import TILES
from flowllm.runs.files import atomic_write
from flowllm.viz.bins import TITLES
from flowllm.viz.crystal_table import SCRIPT, STYLE, crystal_table
from flowllm.viz.page import chart_cards, figure_place, fill, named_values, render, tiles


def write_page(path: str | Path, evaluation: EvaluationResult) -> None:
    """Write one HTML file, whole or not at all, that opens without any network.

    Raises:
        InputError: the file cannot be written.
    """
    sections = [
        _tiles(evaluation),
        _charts(evaluation),
        fill("metrics.html", stages=evaluation.metrics),
        crystal_table(evaluation.rows, evaluation.crystals),
        named_values("Protocol", [(s, rows) for s, rows in evaluation.protocol.items() if rows]),
    ]
    readable = f"{len(evaluation.crystals)} of {len(evaluation.rows)} inputs are readable crystals"
    behind = f"; grey in the charts: {evaluation.data_name}" if evaluation.data else ""
    title = f"Evaluation of {evaluation.name}"
    page = render(title, f"{readable}{behind}.", sections, [STYLE], [SCRIPT])
    atomic_write(path, page)


def _tiles(evaluation: EvaluationResult) -> Markup:
    found = {metric.name: metric for metric in evaluation}
    return tiles(
        _tile(found[name]) for name in TILES if name in found and not np.isnan(found[name].value)
    )


def _tile(metric: Metric) -> tuple[str, str, str]:
    """A figure's name, its value, and its interval."""
    value = f"{100 * metric.value:.1f} %" if metric.unit == SHARE else f"{metric.value:.3f}"
    return metric.name, value, metric.text.split("(")[-1].split(",")[0].rstrip(")")


def _charts(evaluation: EvaluationResult) -> Markup:
    cards = [
        (TITLES[key], figure_place(f"chart-{key}", figure, TITLES[key]))
        for key, figure in charts([evaluation]).items()
    ]
    return chart_cards("Charts", cards) if cards else Markup()
