"""Evaluation of crystals from any program: one call, every figure, its protocol beside it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowllm.evaluation.report import Report
    from flowllm.evaluation.run import evaluate
    from flowllm.evaluation.settings import EvaluateSettings
    from flowllm.evaluation.stages import STAGES

_MODULES = {
    "STAGES": "flowllm.evaluation.stages",
    "EvaluateSettings": "flowllm.evaluation.settings",
    "Report": "flowllm.evaluation.report",
    "evaluate": "flowllm.evaluation.run",
}
__all__ = ["STAGES", "EvaluateSettings", "Report", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): the command line reads the stages' names alone."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
