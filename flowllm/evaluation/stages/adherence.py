"""How well crystals follow the prompts that they were drawn from."""

from __future__ import annotations

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.evaluation.adherence.figures import (
    ENERGIES,
    GROUP,
    SUPERGROUP,
    TYPE_LABELS,
    correlation,
    groups_of,
    kept,
    outcome_of,
)
from flowllm.evaluation.adherence.kinds import OF_TYPES
from flowllm.evaluation.metric import Metric
from flowllm.evaluation.stages.base import StageResult, Work
from flowllm.metrics.group_relations import are_supergroups
from flowllm.text.prompts import read_prompt


def adherence(work: Work) -> StageResult:
    """Shares that match their prompts; correlations of energies with the requested ones.

    Inputs that cannot be read keep to nothing. Energies are those of the relaxed crystals, where
    the stage "stability" ran too.

    Raises:
        InputError: no input comes with a prompt that states a condition.
    """
    asked = [read_prompt(prompt) for prompt in work.inputs.prompts]
    if not any(conditions.known() for conditions in asked):
        raise InputError(
            f"{work.inputs.origin}: no prompt states a condition; the stage adherence is for "
            "runs of `flowllm generate`, and tables with a column prompt"
        )
    rows = np.flatnonzero(work.inputs.readable)
    groups = groups_of(work.crystals, work.workers)
    found = outcome_of(work.crystals, rows, len(asked), groups)
    hits: list[np.ndarray] = []
    metrics = []
    for name, label in zip(OF_TYPES, TYPE_LABELS, strict=True):
        stated = _stating(asked, name)
        if stated.any():
            flags = kept(asked, found, name)
            metrics.append(Metric.rate(label, flags[stated]))
            hits.append(flags | ~stated)
    stated = _stating(asked, "space_group")
    wanted = np.array([conditions.space_group or 0 for conditions in asked])
    for tolerance, numbers in found.space_groups.items():
        if stated.any():
            flags = numbers == wanted
            metrics.append(Metric.rate(f"{GROUP} {tolerance:g}", flags[stated]))
            higher = are_supergroups(numbers, wanted)
            metrics.append(Metric.rate(f"{SUPERGROUP} {tolerance:g}", higher[stated]))
            hits.append(flags | ~stated)
    if "stability" in work.results:
        metrics += _energies(work, asked, rows)
    states = np.array([bool(conditions.known()) for conditions in asked])
    all_kept = np.all([np.ones(len(asked), bool), *hits], axis=0)
    columns = {"as_asked": [bool(all_kept[row]) if states[row] else None for row in rows]}
    protocol = {
        "adherence": "of inputs whose prompts state the condition; unreadable ones meet no "
        "condition",
    }
    work.report(len(rows), len(rows))
    return StageResult(columns, metrics, protocol)


def _stating(asked: list[Conditions], name: str) -> np.ndarray:
    return np.array([getattr(conditions, name) is not None for conditions in asked])


def _energies(work: Work, asked: list[Conditions], rows: np.ndarray) -> list[Metric]:
    metrics = []
    for name, label in ENERGIES.items():
        if not _stating(asked, name).any():
            continue
        wanted = np.array([getattr(asked[row], name) for row in rows], dtype=float)
        values = work.results["stability"].column(name)
        metrics += [
            Metric.of(f"{label}, Pearson's r", correlation(wanted, values)),
            Metric.of(f"{label}, Spearman's ρ", correlation(wanted, values, ranked=True)),
        ]
    return metrics
