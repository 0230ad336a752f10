"""The flow: pairs, velocity network, training and integration. Knows no language model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowllm.methods.flow.couplings.alignment import align, mean_squared_torus_distance
    from flowllm.methods.flow.couplings.pairs import PairSet
    from flowllm.methods.flow.couplings.sample import build_pairs
    from flowllm.methods.flow.loss import FlowMatcher
    from flowllm.methods.flow.refiner import FlowRefiner
    from flowllm.methods.flow.settings import FlowTrainSettings, RefineSettings
    from flowllm.methods.flow.train import train_flow

_MODULES = {
    "FlowMatcher": "loss",
    "FlowRefiner": "refiner",
    "FlowTrainSettings": "settings",
    "PairSet": "couplings.pairs",
    "RefineSettings": "settings",
    "align": "couplings.alignment",
    "build_pairs": "couplings.sample",
    "mean_squared_torus_distance": "couplings.alignment",
    "train_flow": "train",
}
__all__ = [
    "FlowMatcher",
    "FlowRefiner",
    "FlowTrainSettings",
    "PairSet",
    "RefineSettings",
    "align",
    "build_pairs",
    "mean_squared_torus_distance",
    "train_flow",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that refining does not load the Trainer (4 s)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
