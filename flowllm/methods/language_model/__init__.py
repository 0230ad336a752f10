"""The language model: built, trained and sampled; the prior of FlowLLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm.methods.language_model.compact import build_compact
    from flowllm.methods.language_model.examples import CrystalExamples
    from flowllm.methods.language_model.prior import LanguageModelPrior, perturb
    from flowllm.methods.language_model.settings import (
        CompactConfig,
        LMTrainSettings,
        SamplingSettings,
    )
    from flowllm.methods.language_model.train import train_lm

_MODULES = {
    "CompactConfig": ".settings",
    "CrystalExamples": ".examples",
    "LMTrainSettings": ".settings",
    "LanguageModelPrior": ".prior",
    "SamplingSettings": ".settings",
    "build_compact": ".compact",
    "perturb": ".prior",
    "train_lm": ".train",
}
__all__ = [
    "CompactConfig",
    "CrystalExamples",
    "LMTrainSettings",
    "LanguageModelPrior",
    "SamplingSettings",
    "build_compact",
    "perturb",
    "train_lm",
]

__getattr__, __dir__ = exports(__name__, _MODULES)
