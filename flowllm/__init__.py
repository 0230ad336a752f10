"""FlowLLM: crystals from a language model, refined by Riemannian flow matching."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowllm.crystals.batch import CrystalBatch
    from flowllm.crystals.trajectory import Trajectory
    from flowllm.data import load_dataset
    from flowllm.evaluation import Report, evaluate
    from flowllm.methods.flow.settings import RefineSettings
    from flowllm.methods.language_model.settings import SamplingSettings
    from flowllm.systems.system import FlowLLM

_MODULES = {
    "CrystalBatch": "flowllm.crystals.batch",
    "FlowLLM": "flowllm.systems.system",
    "RefineSettings": "flowllm.methods.flow.settings",
    "Report": "flowllm.evaluation",
    "SamplingSettings": "flowllm.methods.language_model.settings",
    "Trajectory": "flowllm.crystals.trajectory",
    "evaluate": "flowllm.evaluation",
    "load_dataset": "flowllm.data",
}
__all__ = [
    "CrystalBatch",
    "FlowLLM",
    "RefineSettings",
    "Report",
    "SamplingSettings",
    "Trajectory",
    "evaluate",
    "load_dataset",
]


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562), so that importing the package takes no time."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
