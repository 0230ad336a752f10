"""The fifth step of the playground: diffusion on the circle, beside the flow."""

from __future__ import annotations

from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import torch

from flowllm.manifolds.wrapped_normal import wrapped_log_density, wrapped_score
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.messages import shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import COLOURS, GREY, themed
from flowllm_widgets.torus import layers, texts
from flowllm_widgets.torus.diffusion import LEAST, MOST, blurred, flowed, reverse
from flowllm_widgets.torus.matching import Pairs
from flowllm_widgets.torus.measures import energy_distance
from flowllm_widgets.torus.problem import OTHERS, Problem
from flowllm_widgets.torus.steps import Step
from flowllm_widgets.torus.views import FlowView

SAMPLES, POINTS, PAIRS = 300, 600, 3000
STEPS = (5, 10, 20, 50, 100)
FORWARD_FRAMES = 21
WAYS = ("Forward, to noise", "Back, from noise")


class DiffusionStep(Step):
    """The wrapped normal and its score; points to noise and back, a flow of as many steps beside.

    Both use the exact field of the same target, so what differs is the dynamics alone.

    Args:
        problem: base, target and pairing; of the base only the flow makes use, noise is uniform.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(texts.DIFFUSION)
        self.problem = problem
        style = {"description_width": "initial"}
        self.way = ipywidgets.ToggleButtons(
            options=WAYS, value=WAYS[1], style={"button_width": "150px"}
        )
        self.steps = ipywidgets.SelectionSlider(
            options=STEPS, value=20, description="Steps", style=style, continuous_update=False
        )
        self.corrector = ipywidgets.Checkbox(
            True, description="Corrector", indent=False, layout={"width": "110px"}
        )
        self.sigma = ipywidgets.FloatLogSlider(
            0.1, base=10, min=np.log10(LEAST), max=np.log10(MOST), step=0.01,
            description="σ of the circle", readout_format=".3f", style=style,
        )  # fmt: skip
        self.view = FlowView(seconds=4.0, t=1.0)
        self.chart = Plot(circle_figure(self.sigma.value))
        self.numbers = ipywidgets.HTML()
        self.background = Background(self.message.error)
        for control in (self.way, self.steps, self.corrector):
            control.observe(self._changed, "value")
        self.sigma.observe(self._blurred, "value")
        controls = ipywidgets.HBox([self.way, self.steps, self.corrector])
        controls.layout.flex_flow = "row wrap"
        chart = ipywidgets.VBox([self.chart]).add_class("flowllm-fit")
        beside = ipywidgets.VBox([self.sigma, chart, self.text])
        left = ipywidgets.VBox([self.view, self.numbers])
        desk = ipywidgets.Box([left, beside]).add_class("torus-training")
        self.children = (controls, desk, self.message, self.frame)

    @shows_errors
    def refresh(self) -> None:
        """Draw new points and run both directions, in the background."""
        super().refresh()
        self.message.clear()
        self.numbers.value = '<div class="flowllm-caption">drawing …</div>'
        self.background.start(self._work)

    @shows_errors
    def _changed(self, change: Any) -> None:
        self.refresh()

    @shows_errors
    def _blurred(self, change: Any) -> None:
        x, density, score = circle(self.sigma.value)
        with self.chart.batch_update():
            for trace, values in zip(self.chart.data, (density, score), strict=True):
                trace.x, trace.y = x, values

    def _work(self, stop: Stop) -> None:
        pairs = self.problem.pairs(PAIRS, OTHERS)
        target = pairs.end[:POINTS]
        stop.check()
        if self.way.value == WAYS[0]:
            self._forward(target)
        else:
            self._back(pairs, target, stop)

    def _forward(self, target: torch.Tensor) -> None:
        frames = blurred(target[:SAMPLES], FORWARD_FRAMES, self.problem.seed).flip(0)
        self.view.panels = [
            layers.panel(
                "points to noise",
                layers.points("target", "target", target[:SAMPLES], layers.TARGET, opacity=0.45),
                layers.points("samples", "samples at t", frames, layers.MOVING),
            )
        ]
        self.numbers.value = (
            '<div class="flowllm-caption">Here t runs from the points to the noise; σ rises from 0 '
            f"to {LEAST:g}, then exponentially to {MOST:g}.</div>"
        )

    def _back(self, pairs: Pairs, target: torch.Tensor, stop: Stop) -> None:
        generator = torch.Generator().manual_seed(self.problem.seed)
        start, steps = torch.rand(SAMPLES, 2, generator=generator), self.steps.value
        back = reverse(start, target, steps, self.problem.seed, self.corrector.value)
        stop.check()
        flow = flowed(pairs.start[POINTS : POINTS + SAMPLES], pairs.take(slice(0, POINTS)), steps)
        stop.check()
        fresh = pairs.end[-SAMPLES:]
        panels, far = [], []
        for title, frames in (("diffusion", back), ("flow", flow)):
            drawn = (
                layers.points("target", "target", target[:SAMPLES], layers.TARGET, opacity=0.45),
                layers.points("samples", "samples at t", frames, layers.MOVING),
            )
            panels.append(layers.panel(title, *drawn))
            far.append(f"{title} {energy_distance(frames[-1], fresh):.4f}")
        floor = energy_distance(target[:SAMPLES], fresh)
        self.view.panels = panels
        evaluations = steps * (2 if self.corrector.value else 1)
        self.numbers.value = (
            f'<div class="flowllm-caption">Energy distance to the target after {steps} steps: '
            f"{', '.join(far)}; two draws of the target {floor:.4f}. The diffusion evaluated the "
            f"score {evaluations} times, the flow the velocity {steps} times.</div>"
        )


def circle(sigma: float, count: int = 401) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on the circle about 0, with density and score of the wrapped normal."""
    x = torch.linspace(-0.5, 0.5, count, dtype=torch.float64)
    density, score = wrapped_log_density(x, sigma).exp(), wrapped_score(x, sigma)
    return x.numpy(), density.numpy(), score.numpy()


def circle_figure(sigma: float) -> go.Figure:
    """The chart of density and score over the circle, cut open opposite to its middle."""
    x, density, score = circle(sigma)
    figure = go.Figure()
    figure.add_scatter(x=x, y=density, name="density", line={"color": COLOURS[0], "width": 2})
    figure.add_scatter(
        x=x, y=score, name="score", yaxis="y2", line={"color": COLOURS[1], "width": 2}
    )
    themed(figure, 230)
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 48, "r": 52, "t": 30, "b": 40},
        xaxis={"title": "f − f₀", "range": [-0.5, 0.5]},
        yaxis={"title": "density", "rangemode": "tozero"},
        yaxis2={
            "title": "score", "overlaying": "y", "side": "right", "showgrid": False,
            "zerolinecolor": GREY,
        },
    )  # fmt: skip
    return figure
