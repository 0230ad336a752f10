"""Shared by training steps: buttons, losses, background work."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from typing import Any

import ipywidgets

from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.messages import shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.torus.comparison import marginal_loss
from flowllm_widgets.torus.figure import loss_figure, smoothed
from flowllm_widgets.torus.learner import (
    STEPS,
    Geometry,
    Learner,
)
from flowllm_widgets.torus.problem import FRESH, OTHERS, PAIRS, TRAINING, Problem
from flowllm_widgets.torus.steps import Step
from flowllm_widgets.torus.views import FlowView

SAMPLES = 500
CHUNK = 20  # steps between looks at the stop
CHART_EVERY, FLOW_EVERY = 0.4, 1.5  # seconds


class TrainingStep(Step):
    """Start, pause and reset of one or more trainings on the same pairs, with their losses.

    Args:
        problem: base, target and pairing.
        text: what is explained.
        colours: of the trainings.
        names: of the trainings.
    """

    def __init__(
        self, problem: Problem, text: str, names: tuple[str, ...], colours: tuple[str, ...]
    ) -> None:
        super().__init__(text)
        self.problem, self.names = problem, names
        self.learners: list[Learner] = []
        self.start = ipywidgets.Button(description="Start", button_style="primary", icon="play")
        self.pause = ipywidgets.Button(description="Pause", icon="pause", disabled=True)
        self.reset = ipywidgets.Button(description="Reset", icon="refresh", disabled=True)
        for button in (self.start, self.pause, self.reset):
            button.layout.width = "90px"
        self.status = ipywidgets.HTML()
        self.numbers = ipywidgets.HTML()
        self.chart = Plot(loss_figure(names, colours, STEPS))
        self._charting, self._chart_on_screen = threading.Lock(), False
        self.chart.observe(self._chart_appeared, "_js2py_layoutDelta")
        self.view = FlowView(seconds=3.0, t=1.0)
        self.background = Background(self._failed, self._finished)
        self.start.on_click(self._start)
        self.pause.on_click(self._pause)
        self.reset.on_click(self._reset)

    @abstractmethod
    def geometries(self) -> tuple[Geometry, ...]:
        """What is trained, in the order of the names."""

    @abstractmethod
    def draw(self, final: bool) -> None:
        """Show the flows learnt so far; `final`: and measure them. Called in the background."""

    @shows_errors
    def refresh(self) -> None:
        """Reset the training, and show the problem."""
        super().refresh()
        self.message.clear()
        self.learners = []
        self._buttons(running=False)
        self.numbers.value, self.status.value = "", caption("drawing pairs …")
        self.background.start(self._prepare)

    def outdate(self) -> None:
        """Ends the training too."""
        super().outdate()
        self.background.cancel()

    def _prepare(self, stop: Stop) -> None:
        pairs = self.problem.pairs(TRAINING, PAIRS)
        self.fresh = self.problem.pairs(FRESH, OTHERS)
        seed = self.problem.seed
        learners = [Learner(pairs, geometry, seed, STEPS) for geometry in self.geometries()]
        self.floor = marginal_loss(pairs, self.fresh, seed)
        stop.check()
        self.learners = learners
        self._chart()
        self.draw(final=False)

    def _train(self, stop: Stop) -> None:
        if not self.learners:
            self._prepare(stop)
        charted = drawn = time.monotonic()
        while not all(learner.done for learner in self.learners):
            for learner in self.learners:
                stop.check()
                learner.train(CHUNK)
            now = time.monotonic()
            if now - charted > CHART_EVERY:
                self._chart()
                charted = now
            if now - drawn > FLOW_EVERY:
                self.draw(final=False)
                drawn = time.monotonic()

    @shows_errors
    def _chart_appeared(self, change: Any) -> None:
        """Resend the chart once the page has loaded plotly."""
        if not self._chart_on_screen and self.learners:
            self._chart_on_screen = True
            with self._charting, self.chart.batch_update():
                for line in self.chart.data:
                    line.x = line.y = ()  # or plotly would not send again what it sent
            self._chart()

    def _chart(self) -> None:
        count = len(self.names)
        ends = [0, STEPS]
        with self._charting, self.chart.batch_update():
            for line, level, learner in zip(
                self.chart.data[:count], self.chart.data[count:], self.learners, strict=False
            ):
                line.x, line.y = smoothed(learner.losses)
                level.x, level.y = ends, [learner.constant_loss()] * 2
            self.chart.data[-1].x, self.chart.data[-1].y = ends, [self.floor] * 2
        self.status.value = caption(self._status())

    def _status(self) -> str:
        taken = len(self.learners[0].losses)
        parts = [f"step {taken} of {STEPS}"]
        for name, learner in zip(self.names, self.learners, strict=True):
            recent = learner.losses[-100:]
            loss = f"{sum(recent) / len(recent):.3f}" if recent else "–"
            which = "loss" if len(self.names) == 1 else f"loss {name}"
            parts.append(f"{which} {loss} (constant {learner.constant_loss():.3f})")
        return " · ".join([*parts, f"exact marginal velocity {self.floor:.3f}"])

    # ---- buttons ---------------------------------------------------------------------------

    @shows_errors
    def _start(self, button: Any) -> None:
        self.message.clear()
        self._buttons(running=True)
        self.background.start(self._train)

    @shows_errors
    def _pause(self, button: Any) -> None:
        self.background.cancel()

    @shows_errors
    def _reset(self, button: Any) -> None:
        self.refresh()

    @shows_errors
    def _finished(self, cancelled: bool) -> None:
        self._buttons(running=False)
        if self.learners:
            self._chart()
            if self.learners[0].losses:
                self.draw(final=True)

    def _failed(self, error: Exception) -> None:
        self.message.error(error)

    def _buttons(self, running: bool) -> None:
        done = bool(self.learners) and all(learner.done for learner in self.learners)
        begun = bool(self.learners) and bool(self.learners[0].losses)
        self.start.disabled, self.pause.disabled = running or done, not running
        self.reset.disabled = not (running or begun)
        self.start.description = "Go on" if begun and not done else "Start"

    def _lay_out(self, *beside: ipywidgets.Widget) -> None:
        buttons = ipywidgets.HBox([self.start, self.pause, self.reset, *beside])
        chart, numbers = ipywidgets.VBox([self.chart]), ipywidgets.VBox([self.numbers])
        chart.add_class("flowllm-fit")
        buttons.layout.flex_flow = "row wrap"
        # squares, loss and numbers beside each other where there is room, see the style sheet
        beside = ipywidgets.VBox([chart, numbers])
        desk = ipywidgets.Box([self.view, beside]).add_class("torus-training")
        self.children = (self.text, buttons, self.status, desk, self.message, self.frame)


def caption(text: str) -> str:
    """HTML of a line in the colour of captions."""
    return f'<div class="flowllm-caption">{text}</div>'
