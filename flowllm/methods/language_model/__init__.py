"""The language model: built, trained and sampled; the prior of FlowLLM."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    "CompactConfig": "settings",
    "CrystalExamples": "examples",
    "LMTrainSettings": "settings",
    "LanguageModelPrior": "prior",
    "SamplingSettings": "settings",
    "build_compact": "compact",
    "perturb": "prior",
    "train_lm": "train",
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


def __getattr__(name: str) -> Any:
    """Import on first use, so that settings do not load torch and sampling no Trainer."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
