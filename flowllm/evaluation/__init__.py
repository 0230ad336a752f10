"""Evaluation of crystals from any program: one call, every metric with its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm.evaluation.report import Report
    from flowllm.evaluation.run import evaluate
    from flowllm.evaluation.settings import EvaluateSettings
    from flowllm.evaluation.stages import STAGES

_MODULES = {
    "STAGES": ".stages",
    "EvaluateSettings": ".settings",
    "Report": ".report",
    "evaluate": ".run",
}
__all__ = ["STAGES", "EvaluateSettings", "Report", "evaluate"]

__getattr__, __dir__ = exports(__name__, _MODULES)
