"""The last two steps of the playground: training live, and the same without the wrap."""

from __future__ import annotations

import ipywidgets
import torch

from flowllm_widgets.shared.background import Stop
from flowllm_widgets.torus import layers, texts
from flowllm_widgets.torus.comparison import field_error, measure, target_outcome
from flowllm_widgets.torus.learner import WITH_WRAP, WITHOUT_WRAP, WITHOUT_WRAP_SINES, Geometry
from flowllm_widgets.torus.matching import WIDTH, Pairs, grid
from flowllm_widgets.torus.measures import energy_distance
from flowllm_widgets.torus.problem import Problem
from flowllm_widgets.torus.training import SAMPLES, TrainingStep, caption


class LiveStep(TrainingStep):
    """One training with the wrap: its samples, and its velocity over the exact one."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, texts.TRAINING, ("network",), (layers.MOVING,))
        self._exact: tuple[torch.Tensor, torch.Tensor] | None = None
        self._lay_out()

    def geometries(self) -> tuple[Geometry, ...]:
        """With the wrap."""
        return (WITH_WRAP,)

    def _prepare(self, stop: Stop) -> None:
        self._exact = None
        super()._prepare(stop)

    def draw(self, final: bool) -> None:
        """Samples of the flow beside the learnt velocity over the exact marginal one."""
        learner = self.learners[0]
        if self._exact is None:
            self._exact = layers.marginal_frames(learner.pairs)
        frames = learner.flow(self.fresh.start[:SAMPLES])
        places = grid(layers.FIELD)
        learnt = torch.stack([learner.velocity(t, places) for t in layers.field_times()])
        exact, density = self._exact
        target = layers.points(
            "target", "target", self.fresh.end[:SAMPLES], layers.TARGET, opacity=0.55
        )
        samples = layers.points("samples", "samples of the learned flow", frames, layers.MOVING)
        self.view.panels = [
            layers.panel("Samples", target, samples),
            layers.panel(
                "Velocity",
                layers.arrows(
                    "exact",
                    "exact marginal velocity",
                    layers.where_paths_pass(exact, density),
                    size=11,
                    opacity=0.5,
                ),
                layers.arrows(
                    "learnt",
                    "learned velocity",
                    layers.where_paths_pass(learnt, density),
                    layers.LEARNT,
                ),
            ),
        ]
        if final:
            half = len(self.fresh) // 2
            distance = energy_distance(learner.flow(self.fresh.start[:half])[-1],
                                       self.fresh.end[half:])  # fmt: skip
            before = energy_distance(self.fresh.start[:half], self.fresh.end[half:])
            wrong = field_error(learnt, exact, density)
            self.numbers.value = caption(
                f"Energy distance to the target: {1000 * before:.2f} · 10⁻³ before the flow, "
                f"{1000 * distance:.2f} · 10⁻³ after it. "
                f"Error of the learned velocity: {100 * wrong:.0f} % of the exact one (root mean "
                f"square; the exact one is for paths blurred by {WIDTH})."
            )


class WrapStep(TrainingStep):
    """The same training with the wrap and without it, side by side and in numbers."""

    def __init__(self, problem: Problem) -> None:
        names = (WITH_WRAP.name, WITHOUT_WRAP.name)
        super().__init__(problem, texts.WRAP, names, (layers.MOVING, layers.CHOSEN))
        self.sees = ipywidgets.Dropdown(
            options=(
                ("plain coordinates", WITHOUT_WRAP),
                ("sines of period 2", WITHOUT_WRAP_SINES),
            ),
            description="Without wrapping, the network sees",
            style={"description_width": "initial"},
        )
        self.sees.layout.width = "380px"
        self.sees.observe(self._reset, "value")
        self._lay_out(self.sees)

    def geometries(self) -> tuple[Geometry, ...]:
        """With the wrap and without it."""
        return (WITH_WRAP, self.sees.value)

    def draw(self, final: bool) -> None:
        """Samples of both flows over the target."""
        target = layers.points(
            "target", "target", self.fresh.end[:SAMPLES], layers.TARGET, opacity=0.55
        )
        few = Pairs(self.fresh.start[:40], self.fresh.end[:40])
        panels = []
        for learner, colour in zip(self.learners, (layers.MOVING, layers.CHOSEN), strict=True):
            wrapped = learner.geometry is WITH_WRAP
            name = "samples" if wrapped else "straight samples"
            label = f"samples {learner.geometry.name}"
            frames = learner.flow(self.fresh.start[:SAMPLES])
            samples = layers.points(name, label, frames, colour, wrap=wrapped, copies=wrapped)
            paths = layers.path_lines(
                "paths", "paths of 40 pairs", few, layers.GREY, wrapped=wrapped
            )
            title = learner.geometry.name.capitalize()
            panels.append(layers.panel(title, paths, target, samples))
        self.view.panels = panels
        if final:
            self.numbers.value = self._table()

    def _table(self) -> str:
        one, other = (measure(learner, self.fresh) for learner in self.learners)
        distance, edge = target_outcome(self.fresh)
        apart = f"{1e3 * distance:.2f}".replace("-", "−")
        rows = [
            ("mean squared path length", "", "path_length", "{:.3f}", 1),
            ("… origin moved by (½, ½)", "", "path_length_moved", "{:.3f}", 1),
            ("loss relative to a constant", "", "loss_share", "{:.2f}", 1),
            ("energy distance · 10³", apart, "distance", "{:.2f}", 1e3),
            ("… with 4 Euler steps", "", "distance_few", "{:.2f}", 1e3),
            ("within 0.05 of an edge", f"{edge:.1%}", "edge", "{:.1%}", 1),
            ("outside the square", "", "left", "{:.1%}", 1),
        ]
        cells = "".join(
            f"<tr><td>{what}</td><td>{best}</td>"
            + "".join(f"<td>{form.format(unit * getattr(o, name))}</td>" for o in (one, other))
            + "</tr>"
            for what, best, name, form, unit in rows
        )
        head = "".join(f"<th>{name}</th>" for name in ("target", *self.names))
        return f'<table class="torus-numbers"><tr><th></th>{head}</tr>{cells}</table>'
