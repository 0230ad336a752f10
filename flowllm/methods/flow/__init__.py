"""The flow: pairs, velocity network, training and integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm.methods.flow.couplings.alignment import align, mean_squared_torus_distance
    from flowllm.methods.flow.couplings.pairs import PairSet
    from flowllm.methods.flow.couplings.sample import build_pairs
    from flowllm.methods.flow.loss import FlowMatcher
    from flowllm.methods.flow.refiner import FlowRefiner
    from flowllm.methods.flow.settings import FlowTrainSettings, RefineSettings
    from flowllm.methods.flow.train import train_flow

_MODULES = {
    "FlowMatcher": ".loss",
    "FlowRefiner": ".refiner",
    "FlowTrainSettings": ".settings",
    "PairSet": ".couplings.pairs",
    "RefineSettings": ".settings",
    "align": ".couplings.alignment",
    "build_pairs": ".couplings.sample",
    "mean_squared_torus_distance": ".couplings.alignment",
    "train_flow": ".train",
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

__getattr__, __dir__ = exports(__name__, _MODULES)
