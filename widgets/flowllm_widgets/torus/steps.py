"""The first two steps of the playground: the geodesic, and paths with their velocity fields."""

from __future__ import annotations

from typing import Any

import ipywidgets

from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import GREY
from flowllm_widgets.torus import layers, tasks, texts
from flowllm_widgets.torus.learner import WITHOUT_WRAP
from flowllm_widgets.torus.matching import TORUS, Pairs, mean_squared_length
from flowllm_widgets.torus.problem import PAIRS, TRAINING, Problem
from flowllm_widgets.torus.views import FlowView, GeodesicView

SAMPLES, PATHS, FIRST = 400, 60, 22
PRESETS = {
    "Paths": ("samples", "base", "target", "paths", "pair", "place"),
    "One pair": ("target", "pair", "place", "conditional"),
    "All pairs": ("samples", "target", "marginal"),
}
"""What is shown: names of layers."""


class Step(ipywidgets.VBox):
    """A step of the playground, with a line for its messages.

    Args:
        text: what is explained, as HTML.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.message = MessageLine()
        self.frame = Frame()
        self.text = ipywidgets.HTML(f'<div class="torus-text">{text}</div>')
        self.stale = True
        self.add_class("flowllm-room")

    def refresh(self) -> None:
        """Show the current problem; called when it changed and the step is visible."""
        self.stale = False

    def outdate(self) -> None:
        """Mark the step as outdated after a change of the problem."""
        self.stale = True


class GeodesicStep(Step):
    """Two draggable points, see `GeodesicView`."""

    def __init__(self) -> None:
        super().__init__(texts.GEODESIC)
        self.view = GeodesicView()
        watched = [(self.view, ("x", "y", "t"))]
        self.tasks = tasks.TaskList(tasks.geodesic_tasks(self.view), watched)
        # picture and tasks beside each other where there is room, see the style sheet
        desk = ipywidgets.Box([self.text, self.view, self.tasks]).add_class("torus-desk")
        self.children = (desk, self.message, self.frame)


class PathsStep(Step):
    """Samples, conditional paths, and the velocity fields of one pair and of all.

    Args:
        problem: base, target and pairing.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(texts.PATHS)
        self.problem = problem
        self.view = FlowView(seconds=4.0, t=0.4)
        style = {"description_width": "initial"}
        self.look = ipywidgets.ToggleButtons(
            options=tuple(PRESETS), description="Look at", style={"button_width": "90px"}
        )
        self.pair = ipywidgets.IntSlider(
            FIRST, 0, PATHS - 1, description="Pair", style=style, continuous_update=True
        )
        self.numbers = ipywidgets.HTML()
        self.background = Background(self.message.error)
        self._pairs: Pairs | None = None
        self._field: layers.Layer | None = None
        self.look.observe(self._looked, "value")
        self.pair.observe(self._picked, "value")
        self._looked()
        self._early = False  # whether all pairs were looked at near the beginning of the time
        wanted = tasks.path_tasks(self._crosses, self._saw_both_ends)
        watched = [(self.view, ("t",)), (self.look, ("value",)), (self.pair, ("value",))]
        self.tasks = tasks.TaskList(wanted, watched)
        self.view.layout.flex, self.view.layout.min_width = "0 1 440px", "280px"
        beside = ipywidgets.VBox([self.look, self.pair, self.text, self.tasks, self.numbers])
        beside.layout.flex, beside.layout.padding = "1 1 340px", "0 0 0 16px"
        row = ipywidgets.HBox([self.view, beside])
        row.layout.flex_flow = "row wrap"
        self.children = (row, self.message, self.frame)

    @shows_errors
    def refresh(self) -> None:
        """Draw new pairs; then their marginal velocity. Both in the background."""
        super().refresh()
        self.message.clear()
        self.numbers.value = '<div class="flowllm-caption">drawing pairs …</div>'
        self.background.start(self._work)

    def _work(self, stop: Stop) -> None:
        pairs = self.problem.pairs(TRAINING, PAIRS)
        stop.check()
        self._pairs, self._field = pairs, None
        wrapped, straight = (
            mean_squared_length(pairs, manifold) for manifold in (TORUS, WITHOUT_WRAP.manifold)
        )
        self.numbers.value = (
            '<div class="flowllm-caption">Mean squared length of the paths: '
            f"{wrapped:.3f} on the torus, {straight:.3f} as straight lines in the square.</div>"
        )
        self._draw()
        frames = layers.where_paths_pass(*layers.marginal_frames(pairs))
        self._field = layers.arrows("marginal", "velocity of all pairs", frames)
        stop.check()
        self._draw()

    @shows_errors
    def _picked(self, change: Any) -> None:
        self._draw()

    @shows_errors
    def _looked(self, change: Any = None) -> None:
        shown = PRESETS[self.look.value]
        names = {name for preset in PRESETS.values() for name in preset}
        self.view.hidden = sorted(names - set(shown))

    def _crosses(self) -> bool:
        if self._pairs is None or self.look.value == "All pairs" or self.pair.value == FIRST:
            return False
        chosen = self._pairs.take(slice(self.pair.value, self.pair.value + 1))
        end = chosen.start + TORUS.logmap(chosen.start, chosen.end)
        return bool(((end < 0) | (end >= 1)).any())

    def _saw_both_ends(self) -> bool:
        if self._field is None or self.look.value != "All pairs":
            return False
        self._early = self._early or self.view.t <= 0.2
        return self._early and self.view.t >= 0.9

    def _draw(self) -> None:
        pairs = self._pairs
        if pairs is None:
            return
        moving = layers.conditional_paths(pairs.take(slice(0, SAMPLES)))
        some, pale = slice(0, SAMPLES), {"opacity": 0.55}
        row = slice(self.pair.value, self.pair.value + 1)
        end = pairs.end[self.pair.value]
        drawn = [
            layers.conditional_field(end, "velocity of one pair"),
            *([self._field] if self._field else []),
            layers.points("base", "base", pairs.start[some], layers.BASE, **pale),
            layers.points("target", "target", pairs.end[some], layers.TARGET, **pale),
            layers.path_lines("paths", "conditional paths", pairs.take(slice(0, PATHS)), GREY),
            layers.points("samples", "samples at t", moving, layers.MOVING),
            layers.path_lines(
                "pair", "chosen pair", pairs.take(row), layers.CHOSEN, 9, opacity=1.0
            ),
            layers.points("place", "its position at t", moving[:, row], layers.CHOSEN, 34),
        ]
        self.view.panels = [layers.panel("", *drawn)]
