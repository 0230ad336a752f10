"""PromptPlayground: ask for crystals, watch them being written and refined, compare settings."""

from __future__ import annotations

import threading
import warnings
from dataclasses import fields
from typing import Any

import ipywidgets
import numpy as np

from flowllm.conditions.ranges import TrainingRanges
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.metrics.facts import crystal_facts
from flowllm.systems.system import FlowLLM
from flowllm.teaching.systems import heeded_names, reads_prompts
from flowllm_widgets.playground.account import Account
from flowllm_widgets.playground.conditions import MAX_ATOMS
from flowllm_widgets.playground.controls import LAST_SEED, SettingsForm
from flowllm_widgets.playground.form import PromptForm
from flowllm_widgets.playground.past import PastTries, heading
from flowllm_widgets.playground.result import ResultView
from flowllm_widgets.playground.run import Generates, carry_out
from flowllm_widgets.playground.sweeping import SweepPanel
from flowllm_widgets.playground.tries import FAILED, Settings, Try
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel

HINT = "The text and the crystals appear here."
ROCK_SALT = CrystalBatch(
    *map(np.array, ([11, 17], [[0.0] * 3, [0.5] * 3], [[4.0] * 3], [[60.0] * 3], [2], ["NaCl"]))
)


class PromptPlayground(Panel):
    """Prompt and settings above; below, tokens, crystals, the history of tries and a sweep.

    The work runs in the background: the kernel stays free, and Cancel ends it at the next token or
    step of the flow.

    Args:
        model: anything with `generate`, such as `FlowLLM`; see `run.Generates`. A text is the name
            of a system that ships, or its folder, as for `FlowLLM.from_pretrained`. Conditions that
            it cannot heed have no field, and a system that reads no prompts has no text.
        num: samples at first.
        seed: at first.

    Attributes:
        form: prompt and fields.
        settings: sliders.
        tries: every press of Generate, with its crystals.

    Raises:
        InputError: the model has no `generate`, or num or seed are out of range.
    """

    def __init__(self, model: Generates | str, *, num: int = 4, seed: int = 0) -> None:
        if isinstance(model, str):
            model = FlowLLM.from_pretrained(model)
        if not callable(getattr(model, "generate", None)):
            raise InputError(f"the playground needs a model with generate, not {model!r}")
        if num < 1:
            raise InputError(f"the number of crystals must be at least 1, not {num}")
        if not 0 <= seed <= LAST_SEED:
            raise InputError(f"the seed must be from 0 to {LAST_SEED}, not {seed}")
        super().__init__()
        self._model = model
        self.message, self.progress = MessageLine(), MessageLine()
        training = getattr(model, "training", None)  # other models say nothing of their training
        self.form = PromptForm(
            training if isinstance(training, TrainingRanges) else None,
            getattr(model, "max_atoms", MAX_ATOMS),
            heeded_names(model),
            reads_prompts(model),
        )
        sampling, refinement = _classes(model)
        self.settings = SettingsForm(num, seed, sampling, refinement)
        self.result = ResultView()
        self.generate = ipywidgets.Button(
            description="Generate", icon="play", button_style="primary", layout={"width": "130px"}
        )
        self.cancel = ipywidgets.Button(
            description="Cancel", icon="stop", disabled=True, layout={"width": "110px"}
        )
        self._hint = ipywidgets.HTML(f'<div class="flowllm-caption">{HINT}</div>')
        self.past = PastTries(sampling, refinement, self._restore)
        self.sweep = SweepPanel(model, self._read, self._set_buttons)
        self.tries: list[Try] = []
        self._background = Background(self._failed, self._finished)
        self.generate.on_click(lambda _: self.start())
        self.form.on_enter(self.start)
        self.cancel.on_click(lambda _: self._background.cancel())
        self.form.observe(lambda _: self._set_buttons(), "valid")
        swept = any(one.name == "temperature" for one in fields(sampling))
        asked = ipywidgets.VBox(
            [
                self.form.top,
                ipywidgets.HBox([self.generate, self.cancel]),
                self.progress,
            ]
        )
        more = ipywidgets.VBox([self.form.conditions, self.settings])
        made = ipywidgets.VBox([self.message, self.result, self._hint])
        desk = ipywidgets.Box([asked, made, more]).add_class("flowllm-desk")
        self.fill(
            [
                ipywidgets.VBox([desk]).add_class("flowllm-room"),
                self.past,
                *([heading("Sweep over temperatures"), self.sweep] if swept else []),
                Frame(),
            ]
        )
        # SMACT and spglib take a moment to load: now rather than at the first crystal
        threading.Thread(target=crystal_facts, args=(ROCK_SALT,), daemon=True).start()

    # ---- for the cells below -------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Of the last try: "running", "finished", "cancelled" or "failed"; before it, "idle"."""
        return self.tries[-1].state if self.tries else "idle"

    @property
    def prompt(self) -> str:
        """The current prompt."""
        return self.form.prompt

    @prompt.setter
    def prompt(self, text: str) -> None:
        self.form.set(text)

    @property
    def crystals(self) -> CrystalBatch:
        """The refined crystals of the try on view."""
        return self.tries[self.past.shown].refined if self.tries else CrystalBatch.empty()

    @property
    def trajectory(self) -> Trajectory | None:
        """Their trajectories from the prior's crystals, every step; None if there are none."""
        return self.tries[self.past.shown].trajectory if self.tries else None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the work to finish; False if it still runs after `timeout` seconds."""
        return self._background.wait(timeout)

    # ---- one press of Generate -----------------------------------------------------------------

    @shows_errors
    def start(self) -> None:
        """Generate with the current settings."""
        if not self.form.valid or self.running or self.sweep.running:
            return
        self.message.clear()
        one = Try(len(self.tries) + 1, self._read())
        self._hint.layout.display = "none"
        self.result.show(one)
        self.tries.append(one)
        self.past.shown = len(self.tries) - 1
        self.progress.say("Writing …")
        self._account = Account(one, self.progress.say, lambda: self.result.refresh(one))
        self._set_buttons()
        self._background.start(lambda stop: self._work(one, stop))

    @property
    def running(self) -> bool:
        """Whether crystals are being generated."""
        return self.state == "running"

    def _read(self) -> Settings:
        return self.settings.read(self.form.prompt)

    def _work(self, one: Try, stop: Stop) -> None:
        with warnings.catch_warnings():  # the form has said what is strange about the prompt
            warnings.simplefilter("ignore")
            carry_out(self._model, one, stop, self._account.tell)

    @shows_errors
    def _failed(self, error: Exception) -> None:
        self.tries[-1].state = FAILED
        self.message.error(error)

    @shows_errors
    def _finished(self, cancelled: bool) -> None:
        one = self.tries[-1]
        self._account.close(cancelled)
        self._set_buttons()
        self.result.refresh(one)
        self.past.write(self.tries)
        self.renew_still()

    def _set_buttons(self) -> None:
        busy = self.running or self.sweep.running
        self.generate.disabled = busy or not self.form.valid
        self.sweep.start.disabled = busy or not self.form.valid
        self.cancel.disabled = not self.running

    @shows_errors
    def _restore(self, place: int) -> None:
        one = self.tries[place]
        self.form.set(one.settings.prompt)
        self.settings.write(one.settings)
        self.result.show(one)


def _classes(model: Generates) -> tuple[type[Any], type[Any] | None]:
    """The settings classes of a model's parts; by default those of FlowLLM."""
    prior, refiner = getattr(model, "prior", None), getattr(model, "refiner", None)
    if prior is None:
        return SamplingSettings, RefineSettings
    return prior.Settings, None if refiner is None else refiner.Settings
