"""Widgets of the FlowLLM workbench for JupyterLab: data -> figure -> thin widget.

A widget takes crystals, trajectories and reports, or anything with `generate`; never a model's
insides. Each is importable from here, and is loaded only when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm_widgets.browser.widget import CrystalBrowser
    from flowllm_widgets.embedding.widget import EmbeddingMap
    from flowllm_widgets.histograms.widget import EHullHistogram, NaryHistogram
    from flowllm_widgets.lattice.widget import LatticePlayground
    from flowllm_widgets.playground.widget import PromptPlayground
    from flowllm_widgets.structure.player_view import PlayerView
    from flowllm_widgets.structure.view import StructureView
    from flowllm_widgets.systems.playground import SystemPlayground
    from flowllm_widgets.systems.widget import SideBySide
    from flowllm_widgets.torus.widget import TorusPlayground
    from flowllm_widgets.trajectory.widget import TrajectoryViewer

_MODULES = {
    "CrystalBrowser": ".browser.widget",
    "EHullHistogram": ".histograms.widget",
    "EmbeddingMap": ".embedding.widget",
    "LatticePlayground": ".lattice.widget",
    "NaryHistogram": ".histograms.widget",
    "PlayerView": ".structure.player_view",
    "PromptPlayground": ".playground.widget",
    "SideBySide": ".systems.widget",
    "StructureView": ".structure.view",
    "SystemPlayground": ".systems.playground",
    "TorusPlayground": ".torus.widget",
    "TrajectoryViewer": ".trajectory.widget",
}

__all__ = [
    "CrystalBrowser",
    "EHullHistogram",
    "EmbeddingMap",
    "LatticePlayground",
    "NaryHistogram",
    "PlayerView",
    "PromptPlayground",
    "SideBySide",
    "StructureView",
    "SystemPlayground",
    "TorusPlayground",
    "TrajectoryViewer",
]

__getattr__, __dir__ = exports(__name__, _MODULES)
