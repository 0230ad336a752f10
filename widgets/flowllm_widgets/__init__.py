"""Widgets of the FlowLLM workbench for JupyterLab: data -> figure -> thin widget.

A widget takes crystals, trajectories and reports, or anything with `generate`; never a model's
insides. Each is importable from here, and is loaded only when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm_widgets.bring.widget import Bring
    from flowllm_widgets.browser.widget import CrystalBrowser
    from flowllm_widgets.embedding.widget import EmbeddingMap
    from flowllm_widgets.histograms.widget import EHullHistogram, NaryHistogram
    from flowllm_widgets.lattice.widget import LatticePlayground
    from flowllm_widgets.periodic_table.widget import PeriodicTable
    from flowllm_widgets.phase_diagram.widget import PhaseDiagramView
    from flowllm_widgets.playground.widget import PromptPlayground
    from flowllm_widgets.stability.widget import StabilityView
    from flowllm_widgets.structure.player_view import PlayerView
    from flowllm_widgets.structure.view import StructureView
    from flowllm_widgets.systems.playground import SystemPlayground
    from flowllm_widgets.systems.widget import SideBySide
    from flowllm_widgets.torus.widget import TorusPlayground
    from flowllm_widgets.trajectory.widget import TrajectoryViewer

_MODULES = {
    "Bring": ".bring.widget",
    "CrystalBrowser": ".browser.widget",
    "EHullHistogram": ".histograms.widget",
    "EmbeddingMap": ".embedding.widget",
    "LatticePlayground": ".lattice.widget",
    "NaryHistogram": ".histograms.widget",
    "PeriodicTable": ".periodic_table.widget",
    "PhaseDiagramView": ".phase_diagram.widget",
    "PlayerView": ".structure.player_view",
    "PromptPlayground": ".playground.widget",
    "SideBySide": ".systems.widget",
    "StabilityView": ".stability.widget",
    "StructureView": ".structure.view",
    "SystemPlayground": ".systems.playground",
    "TorusPlayground": ".torus.widget",
    "TrajectoryViewer": ".trajectory.widget",
}

__all__ = [
    "Bring",
    "CrystalBrowser",
    "EHullHistogram",
    "EmbeddingMap",
    "LatticePlayground",
    "NaryHistogram",
    "PeriodicTable",
    "PhaseDiagramView",
    "PlayerView",
    "PromptPlayground",
    "SideBySide",
    "StabilityView",
    "StructureView",
    "SystemPlayground",
    "TorusPlayground",
    "TrajectoryViewer",
]

__getattr__, __dir__ = exports(__name__, _MODULES)
