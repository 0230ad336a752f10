"""The log of a training run, `log.jsonl`: one JSON object per line.

Every line holds `step`, `epoch` (passes over the data) and `seconds` (of training so far, over all
starts of the run). Training lines add `loss`, the parts of the loss (`…_loss`), `grad_norm` and
`learning_rate`: losses are means over the steps since the line before. Validation lines add
`eval_loss`, the parts of it (`eval_…_loss`) and further figures (`eval_…`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowllm.runs.reading import read_whole

LOG = "log.jsonl"


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a log, without a truncated last one; empty if there is no file.

    Older logs of flows, that of the shipped weights among them, call validation `val_…` and the
    learning rate `lr`; they are returned under the present names.
    """
    lines: list[dict[str, Any]] = []
    if not Path(path).exists():
        return lines
    for text in read_whole(path).decode("utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append({_present_name(name): value for name, value in line.items()})
    return lines


def _present_name(name: str) -> str:
    if name == "lr":
        return "learning_rate"
    return f"eval_{name.removeprefix('val_')}" if name.startswith("val_") else name
