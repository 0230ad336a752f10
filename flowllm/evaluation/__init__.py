"""Evaluation of crystals from any program: one call, every figure, its protocol beside it."""

from flowllm.evaluation.report import Report
from flowllm.evaluation.run import evaluate
from flowllm.evaluation.settings import STAGES, EvaluateSettings

__all__ = ["STAGES", "EvaluateSettings", "Report", "evaluate"]
