"""FlowLLM: crystals from a language model, refined by Riemannian flow matching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm.crystals.batch import CrystalBatch
    from flowllm.crystals.trajectory import Trajectory
    from flowllm.data import load_dataset
    from flowllm.evaluation import Report, evaluate
    from flowllm.methods.equivariant.settings import EquivariantSettings
    from flowllm.methods.flow.settings import RefineSettings
    from flowllm.methods.language_model.settings import SamplingSettings
    from flowllm.methods.templates.settings import RankedSettings
    from flowllm.systems.system import FlowLLM

_MODULES = {
    "CrystalBatch": ".crystals.batch",
    "EquivariantSettings": ".methods.equivariant.settings",
    "FlowLLM": ".systems.system",
    "RankedSettings": ".methods.templates.settings",
    "RefineSettings": ".methods.flow.settings",
    "Report": ".evaluation",
    "SamplingSettings": ".methods.language_model.settings",
    "Trajectory": ".crystals.trajectory",
    "evaluate": ".evaluation",
    "load_dataset": ".data",
}
__all__ = [
    "CrystalBatch",
    "EquivariantSettings",
    "FlowLLM",
    "RankedSettings",
    "RefineSettings",
    "Report",
    "SamplingSettings",
    "Trajectory",
    "evaluate",
    "load_dataset",
]

__getattr__, __dir__ = exports(__name__, _MODULES)
