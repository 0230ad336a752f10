"""StabilityView."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.relax import Potential, RelaxSettings
from flowllm.relax.live import RelaxStep, relax_live
from flowllm.stability.hull_table import HullTable, load_hull
from flowllm.stability.phase_diagram import FEWEST, MOST
from flowllm_widgets.phase_diagram.widget import PhaseDiagramView
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.stability.figure import energy_figure, energy_points, pattern_figure
from flowllm_widgets.structure.view import StructureView

START, CANCEL = "Is it stable?", "Cancel"
PAUSE = 0.15
"""Seconds between two drawings; steps of small cells come faster than a page can draw."""
RELAXED = "relaxed"


class StabilityView(Panel):
    """Live relaxation of a crystal by CHGNet, with its energy, followed by a verdict.

    After the relaxation: how far above the hull of known phases it lies, the phase diagram of its
    elements (of two to four), and powder patterns and pair distances of its states.

    Args:
        crystal: a batch of one; None waits for `show`.
        others: earlier states of the crystal, as {"before": ...}, for the patterns.
        settings: of the relaxation.
        potential: what computes energies; CHGNet if left out.
        hull: of known phases; the shipped one if left out.

    Attributes:
        state: "waiting", "relaxing", "finished", "cancelled" or "failed".
        steps: of the relaxation, as they came.
        e_above_hull: eV/atom, of the relaxed crystal; None before.
    """

    def __init__(
        self,
        crystal: CrystalBatch | None = None,
        others: Mapping[str, CrystalBatch] | None = None,
        *,
        settings: RelaxSettings | None = None,
        potential: Potential | None = None,
        hull: HullTable | None = None,
    ) -> None:
        super().__init__()
        self._settings, self._potential, self._hull = settings, potential, hull
        self.steps: list[RelaxStep] = []
        self.state = "waiting"
        self.e_above_hull: float | None = None
        self.message, self.verdict = MessageLine(), ipywidgets.HTML()
        self.button = ipywidgets.Button(description=START, button_style="primary")
        self.view = StructureView(None, height=250)
        self._plot = Plot(energy_figure())
        self._below = ipywidgets.VBox().add_class("flowllm-fit")
        self._background = Background(self._failed, self._finished)
        self.button.on_click(lambda _: self._toggle())
        chart = ipywidgets.VBox([self._plot])
        chart.add_class("flowllm-fit")
        for part in (self.view, chart):
            part.layout.width, part.layout.min_width, part.layout.overflow = (
                "49%",
                "280px",
                "hidden",
            )
        live = ipywidgets.HBox([self.view, chart], layout={"flex_flow": "row wrap"})
        self.fill([self.button, live, self.verdict, self.message, self._below, Frame()])
        self.crystal: CrystalBatch | None = None
        self.show(crystal, others)

    @shows_errors
    def show(
        self, crystal: CrystalBatch | None, others: Mapping[str, CrystalBatch] | None = None
    ) -> None:
        """Show another, unrelaxed crystal, a batch of one."""
        self._background.cancel()
        self.crystal, self.others = crystal, dict(others or {})
        self.steps, self.e_above_hull, self.state = [], None, "waiting"
        self.button.disabled = crystal is None
        self.view.show(crystal)
        self.verdict.value, self._below.children = "", ()
        self.message.clear()
        self._draw_energies()

    def start(self) -> None:
        """Relax the crystal in the background."""
        if self.crystal is None:
            raise InputError("there is no crystal to relax")
        crystal = self.crystal
        self.show(crystal, self.others)
        self.state, self.button.description = "relaxing", CANCEL
        self.verdict.value = '<div class="flowllm-caption">loading CHGNet …</div>'

        def work(stop: Stop) -> None:
            drawn = 0.0
            for step in relax_live(crystal, self._settings, self._potential):
                stop.check()
                self.steps.append(step)
                if time.monotonic() - drawn > PAUSE or step.converged:
                    self._draw(step)
                    drawn = time.monotonic()
            self._judge(stop)

        self._background.start(work)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being computed; False if it still is after `timeout` seconds."""
        return self._background.wait(timeout)

    @shows_errors
    def _toggle(self) -> None:
        if self._background.running:
            self._background.cancel()
        else:
            self.start()

    def _draw(self, step: RelaxStep) -> None:
        self.view.show(step.crystal)
        self._draw_energies()
        dropped = self.steps[0].energy - step.energy
        text = f"step {step.step}: {step.energy:.4f} eV/atom, {1000 * dropped:.0f} meV/atom gained"
        self.verdict.value = f'<div class="flowllm-caption">{text}</div>'

    def _draw_energies(self) -> None:
        with self._plot.batch_update():
            self._plot.data[0].update(energy_points([one.energy for one in self.steps]))

    def _judge(self, stop: Stop) -> None:
        """Judge the relaxed crystal: its place among known phases, and its diffraction."""
        assert self.crystal is not None
        last, hull = self.steps[-1], self._hull or load_hull()
        relaxed = last.crystal.replace(ids=self.crystal.ids)
        formation = hull.references.formation_energy(relaxed, [last.energy])
        self.e_above_hull = height = float(hull.e_above_hull(relaxed, formation)[0])
        self.verdict.value = f"<div>{html.escape(verdict_of(height))}</div>"
        stop.check()
        parts: list[ipywidgets.Widget] = []
        if FEWEST <= len(relaxed.compositions[0]) <= MOST:
            parts.append(PhaseDiagramView(crystals=relaxed, energies=[last.energy], hull=hull))
        states = {**self.others, "given": self.crystal, RELAXED: relaxed}
        parts.append(Plot(pattern_figure(states)))
        stop.check()
        self._below.children = tuple(parts)

    def _failed(self, error: Exception) -> None:
        self.state = "failed"
        self.button.description = START
        self.message.error(error)

    def _finished(self, cancelled: bool) -> None:
        if self.state != "failed":
            self.state = "cancelled" if cancelled else "finished"
        self.button.description = START
        if cancelled:
            self.verdict.value = '<div class="flowllm-caption">cancelled</div>'
        self.renew_still()


def verdict_of(e_above_hull: float) -> str:
    """An energy above the hull in words."""
    if e_above_hull != e_above_hull:
        return "One of its elements has no reference energy."
    if e_above_hull <= 0:
        place = f"{-e_above_hull:.3f} eV/atom below the hull: stable"
    elif e_above_hull < 0.1:
        place = f"{e_above_hull:.3f} eV/atom above the hull: metastable, as many known crystals are"
    else:
        place = f"{e_above_hull:.3f} eV/atom above the hull: unstable"
    return f"By CHGNet {place}. Its energies are off by about 0.02 eV/atom on known crystals."
