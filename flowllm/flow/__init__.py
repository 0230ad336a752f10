"""The flow: pairs, velocity network, training and integration. Knows no language model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowllm.flow.alignment import align, mean_squared_torus_distance
    from flowllm.flow.loss import FlowMatcher
    from flowllm.flow.network import VelocityConfig, VelocityNet
    from flowllm.flow.pairing import build_pairs
    from flowllm.flow.pairs import PairSet
    from flowllm.flow.refine import FlowRefiner, RefineSettings
    from flowllm.flow.settings import FlowTrainSettings
    from flowllm.flow.train import train_flow

_MODULES = {
    "FlowMatcher": "loss",
    "FlowRefiner": "refine",
    "FlowTrainSettings": "settings",
    "PairSet": "pairs",
    "RefineSettings": "refine",
    "VelocityConfig": "network",
    "VelocityNet": "network",
    "align": "alignment",
    "build_pairs": "pairing",
    "mean_squared_torus_distance": "alignment",
    "train_flow": "train",
}
__all__ = [
    "FlowMatcher",
    "FlowRefiner",
    "FlowTrainSettings",
    "PairSet",
    "RefineSettings",
    "VelocityConfig",
    "VelocityNet",
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
