"""SideBySide: one request to several systems, their paths playing under one camera."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets
import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.systems.system import FlowLLM
from flowllm.systems.watch import Stopped, Watch
from flowllm.teaching.systems import Answer, Systems, answer
from flowllm.teaching.ways import stretched
from flowllm.text.prompts import build_prompt, parse_prompt
from flowllm_widgets.playground.controls import LAST_SEED, NARROW, STYLE
from flowllm_widgets.playground.form import PromptForm
from flowllm_widgets.shared.background import Background, Cancelled, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.structure.display import Display
from flowllm_widgets.structure.drawing import draw_moving
from flowllm_widgets.systems.data import as_html, rows_of
from flowllm_widgets.trajectory.widget import TrajectoryViewer

ASKED = ("formula", "num_atoms", "composition", "space_group")
FRAMES = 60  # of each way, at even shares of it
HEIGHT = 165  # two rows of pictures and the form fit a laptop
NONE = "choose a system"


class SideBySide(Panel):
    """One request to several systems, with the paths of their crystals playing together.

    A system that cannot heed a condition is asked without it, which the table says. Its own axis
    and curves has the viewer below, for one system at a time.

    Args:
        systems: by name; default all that ship, loaded when they are first asked.
        answers: what is on view at first, of `flowllm.teaching.systems.ask`.
        num: crystals of each system.
        seed: the same for all.
        renderer: of the pictures, see `Display`.
        **asked: conditions at first, such as composition={"Ti": 2, "O": 4}.

    Attributes:
        answers: {system: its answer}, in the order of the systems.
        crystal: position of the crystal on view.
        viewer: the `TrajectoryViewer` of the system that is looked at closer, or None.
        message, progress: lines for errors and for how far the work is.

    Raises:
        InputError: a number of crystals or a seed out of range, or conditions that cannot be.
    """

    def __init__(
        self,
        systems: Mapping[str, FlowLLM] | None = None,
        answers: Iterable[Answer] = (),
        *,
        num: int = 1,
        seed: int = 0,
        renderer: str = "auto",
        **asked: Any,
    ) -> None:
        if not 1 <= num <= 8:
            raise InputError(f"the number of crystals must be from 1 to 8, not {num}")
        if not 0 <= seed <= LAST_SEED:
            raise InputError(f"the seed must be from 0 to {LAST_SEED}, not {seed}")
        super().__init__()
        self.systems: Mapping[str, FlowLLM] = Systems() if systems is None else systems
        self.answers: dict[str, Answer] = {}
        self.viewer: TrajectoryViewer | None = None
        self.message, self.progress = MessageLine(), MessageLine()
        self._renderer = renderer
        self._build(num, seed)
        self.form.set(build_prompt(Conditions(**asked)))
        self._background = Background(self.message.error, self._finished)
        for one in answers:
            self.answers[one.name] = one
        if self.answers:
            self._show()
        self.renew_still()

    def _build(self, num: int, seed: int) -> None:
        self.form = PromptForm(names=ASKED, text=False)
        self.boxes = {
            name: ipywidgets.Checkbox(
                True, description=name, indent=False, layout={"width": "auto"},
                tooltip=Systems.about(name),
            )
            for name in self.systems
        }  # fmt: skip
        self.num = ipywidgets.IntSlider(
            num, min=1, max=8, description="Crystals of each", style=STYLE, layout={"width": "auto"}
        )
        self.seed = ipywidgets.BoundedIntText(
            seed, min=0, max=LAST_SEED, description="Seed", style=STYLE, layout=NARROW
        )
        self.start = ipywidgets.Button(
            description="Ask all", icon="play", button_style="primary", layout={"width": "130px"}
        )
        self.cancel = ipywidgets.Button(
            description="Cancel", icon="stop", disabled=True, layout={"width": "110px"}
        )
        self.chosen = ipywidgets.Dropdown(
            description="Crystal", options=[], layout={"width": "220px", "display": "none"},
            style={"description_width": "60px"},
        )  # fmt: skip
        self.closer = ipywidgets.Dropdown(
            description="Look closer", options=[NONE], layout={"width": "300px", "display": "none"},
            style={"description_width": "90px"},
        )  # fmt: skip
        self.display = Display(HEIGHT, self._renderer)
        self.display.layout.display = "none"
        self.display.add_class("flowllm-many")
        self.table = ipywidgets.HTML()
        self._slot = ipywidgets.VBox()
        self.start.on_click(lambda _: self.begin())
        self.cancel.on_click(lambda _: self._background.cancel())
        self.form.observe(lambda _: self._set_buttons(), "valid")
        self.chosen.observe(self._choose, "value")
        self.closer.observe(self._look, "value")
        row = {"flex_flow": "row wrap", "grid_gap": "2px 14px", "align_items": "center"}
        right = ipywidgets.VBox(
            [self.num, self.seed, ipywidgets.HBox([self.start, self.cancel])],
            layout={"flex": "1 1 280px", "min_width": "0"},
        )
        self.form.conditions.layout.flex, self.form.conditions.layout.min_width = "2 1 360px", "0"
        self.fill(
            [
                ipywidgets.HBox([self.form.conditions, right], layout={"flex_flow": "row wrap"}),
                self.form.top,
                ipywidgets.HBox(list(self.boxes.values()), layout=row),
                self.progress,
                self.message,
                self.display,
                self.table,
                ipywidgets.HBox([self.chosen, self.closer], layout=row),
                self._slot,
                Frame(),
            ]
        )

    @property
    def crystal(self) -> int:
        """The position of the crystal on view."""
        return self.chosen.value or 0

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the work to finish; False if it still runs after `timeout` seconds."""
        return self._background.wait(timeout)

    # ---- asking ----------------------------------------------------------------------------

    @shows_errors
    def begin(self) -> None:
        """Send the form's request to the chosen systems."""
        names = [name for name, box in self.boxes.items() if box.value]
        if not names:
            raise InputError("choose at least one system")
        if not self.form.valid or self._background.running:
            return
        asked, num, seed = parse_prompt(self.form.prompt), self.num.value, self.seed.value
        self.message.clear()
        self.answers = {}
        self.start.disabled, self.cancel.disabled = True, False
        self._background.start(lambda stop: self._work(names, asked, num, seed, stop))

    def _work(self, names: list[str], asked: Conditions, num: int, seed: int, stop: Stop) -> None:
        refused = []
        watch = Watch(stop=lambda: stop.wanted)
        for place, name in enumerate(names):
            stop.check()
            self.progress.say(f"{name}: system {place + 1} of {len(names)} …")
            try:
                with warnings.catch_warnings():  # the form has said what is strange
                    warnings.simplefilter("ignore")
                    found = answer(name, self.systems[name], asked, num, seed, watch, record=FRAMES)
            except Stopped:
                raise Cancelled from None
            except InputError as error:  # of one system; the others may know an answer
                refused.append(f"{name}: {error}")
                continue
            self.answers[name] = found
        if refused:
            self.message.warning("; ".join(refused))

    @shows_errors
    def _finished(self, cancelled: bool) -> None:
        self.cancel.disabled = True
        self._set_buttons()
        seconds = sum(one.seconds for one in self.answers.values())
        how = "Cancelled" if cancelled else "Done"
        self.progress.say(f"{how}: {len(self.answers)} systems in {seconds:.1f} s")
        if self.answers:
            self._show()

    def _set_buttons(self) -> None:
        self.start.disabled = not self.form.valid or not self.cancel.disabled

    # ---- showing ---------------------------------------------------------------------------

    def _show(self) -> None:
        """All answers, from the first crystal on."""
        num = min(len(one.crystals) for one in self.answers.values())
        self.chosen.unobserve(self._choose, "value")
        self.chosen.options = [(f"{k + 1} of {num}", k) for k in range(num)]
        self.chosen.value = 0
        self.chosen.observe(self._choose, "value")
        self.chosen.layout.display = "" if num > 1 else "none"
        self.closer.options = [NONE, *self.answers]
        self.closer.layout.display = ""
        self.closer.value = NONE
        self._draw()

    def _draw(self) -> None:
        pictures = {}
        for one in self.answers.values():
            way = stretched(_way(one, self.crystal), FRAMES)
            try:
                drawing = draw_moving(way)
            except InputError as error:
                self.message.warning(f"{one.name}: {error}")
                continue
            pictures[one.name] = drawing
        shares = [f"{100 * k / (FRAMES - 1):.0f} % of the path" for k in range(FRAMES)]
        self.display.layout.display = ""
        self.display.show(pictures, np.linspace(0.0, 1.0, FRAMES), shares)
        self.display.player.frame = FRAMES - 1
        self.table.value = as_html(rows_of(list(self.answers.values()), self.crystal))

    @shows_errors
    def _choose(self, change: dict[str, Any]) -> None:
        if change["new"] is not None:
            self._draw()
            if self.viewer is not None:
                self.viewer.crystal = change["new"]

    @shows_errors
    def _look(self, change: dict[str, Any]) -> None:
        name = change["new"]
        if self.viewer is not None:
            self._slot.children, self.viewer = (), None
        if name in self.answers:
            made = self.answers[name].generation
            self.viewer = TrajectoryViewer(made, crystal=self.crystal, renderer=self._renderer)
            self._slot.children = (self.viewer,)


def _way(one: Answer, crystal: int) -> Trajectory:
    """The path of one crystal; constant for a system without a refiner."""
    return one.generation.trajectory.crystal(crystal)
