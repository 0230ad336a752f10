"""The table of an evaluation: one row per input, unreadable ones too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.evaluation.stages import COLUMNS
from flowllm.evaluation.stages.base import StageResult
from flowllm.inputs import Inputs

if TYPE_CHECKING:
    import pandas as pd


def table_of(inputs: Inputs, results: Mapping[str, StageResult]) -> pd.DataFrame:
    """R rows: id, formula, readable, the stages' columns, reasons in words, and remarks.

    Args:
        inputs: R inputs, B of them readable.
        results: stage -> what it found of the B readable ones.
    """
    import pandas as pd

    found: dict[str, list[Any]] = {}
    for result in results.values():
        found.update(result.columns)
    formulas = inputs.crystals.formulas
    rows: dict[str, list[Any]] = {
        "id": [str(name) for name in inputs.ids],
        "formula": _of_rows(inputs, formulas, ""),
        "readable": [bool(flag) for flag in inputs.readable],
    }
    for column in [c for c in COLUMNS if c in found] + [c for c in found if c not in COLUMNS]:
        rows[column] = _of_rows(inputs, found[column], None)
    rows["reason"] = _reasons(inputs, results)
    rows["remarks"] = [str(text) for text in inputs.remarks]
    table = pd.DataFrame(rows)
    for name, values in rows.items():
        known = [value for value in values if value is not None]
        if known and all(isinstance(value, (bool, np.bool_)) for value in known):
            table[name] = pd.array(values, dtype="boolean")
        elif known and all(isinstance(value, (int, np.integer)) for value in known):
            table[name] = pd.array(values, dtype="Int64")
    return table


def _of_rows(inputs: Inputs, values: list[Any], otherwise: Any) -> list[Any]:
    """B values as R, with a filler for unreadable inputs."""
    return [values[place] if place >= 0 else otherwise for place in inputs.position.tolist()]


def _reasons(inputs: Inputs, results: Mapping[str, StageResult]) -> list[str]:
    """Per row what is wrong with it: unreadable, and what the stages found."""
    texts = []
    for row, place in enumerate(inputs.position.tolist()):
        said = [str(inputs.reasons[row])]
        said += [result.reasons.get(place, "") for result in results.values() if place >= 0]
        texts.append("; ".join(text for text in said if text))
    return texts
