"""Widgets of the FlowLLM workbench for JupyterLab: data -> figure -> thin widget.

A widget takes crystals, trajectories and reports, or anything with `generate`; never a model's
insides. Each is importable from here, and is loaded only when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowllm_widgets.structure.view import StructureView

_HOME = {
    "StructureView": "structure.view",
}

__all__ = ["StructureView"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
