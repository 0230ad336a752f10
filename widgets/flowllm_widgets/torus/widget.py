"""TorusPlayground: flow matching on the flat torus, and diffusion beside it, in five steps."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.torus.diffusion_step import DiffusionStep
from flowllm_widgets.torus.live import LiveStep, WrapStep
from flowllm_widgets.torus.problem import Problem
from flowllm_widgets.torus.steps import GeodesicStep, PathsStep, Step

TITLES = {
    "geodesic": "1 · Geodesic",
    "paths": "2 · Paths and velocities",
    "training": "3 · Training",
    "wrap": "4 · Without wrapping",
    "diffusion": "5 · Diffusion",
}
"""The steps, by the names of their attributes."""


class TorusPlayground(Panel):
    """Flow matching on the flat torus in two dimensions, for teaching.

    Steps: the geodesic between two points that one drags; conditional paths and the marginal
    velocity; a small network trained live; what goes wrong without the wrap; diffusion with the
    wrapped normal. Nothing is trained before Start is pressed, and nothing blocks the kernel.

    Args:
        seed: of all draws and networks.
        crystals: whose coordinates are the distribution "crystals"; left out, those of a few
            textbook structures.
    """

    def __init__(self, *, seed: int = 0, crystals: CrystalBatch | None = None) -> None:
        super().__init__()
        self.message = MessageLine()
        self.problem = Problem(crystals, seed)
        self.step = ipywidgets.ToggleButtons(
            options=[(title, name) for name, title in TITLES.items()],
            style={"button_width": "165px"},
        )
        self.step.observe(self._show, "value")
        for control in (self.problem.base, self.problem.target, self.problem.pairing):
            control.observe(self._changed, "value")
        self._show()

    # Made when they are first asked for: a plotly figure sends 5 MB to the browser.

    @cached_property
    def geodesic(self) -> GeodesicStep:
        """Step 1."""
        return GeodesicStep()

    @cached_property
    def paths(self) -> PathsStep:
        """Step 2."""
        return PathsStep(self.problem)

    @cached_property
    def training(self) -> LiveStep:
        """Step 3."""
        return LiveStep(self.problem)

    @cached_property
    def wrap(self) -> WrapStep:
        """Step 4."""
        return WrapStep(self.problem)

    @cached_property
    def diffusion(self) -> DiffusionStep:
        """Step 5."""
        return DiffusionStep(self.problem)

    @shows_errors
    def _show(self, change: Any = None) -> None:
        shown: Step = getattr(self, self.step.value)
        above = [] if self.step.value == "geodesic" else [self.problem]
        self.fill([self.step, *above, shown, self.message])
        if shown.stale:
            shown.refresh()

    @shows_errors
    def _changed(self, change: Any) -> None:
        for name in TITLES:
            if name in self.__dict__:
                self.__dict__[name].outdate()
        getattr(self, self.step.value).refresh()
