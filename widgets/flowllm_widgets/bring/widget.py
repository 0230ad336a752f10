"""Bring: drop a crystal, view it, and let the systems work on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.systems.system import FlowLLM
from flowllm.teaching.systems import Systems
from flowllm_widgets.bring.known import KnownPanel
from flowllm_widgets.bring.source import SourceField
from flowllm_widgets.bring.work import refine, score, score_table
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.stability.about import AboutCrystal
from flowllm_widgets.structure.player_view import PlayerView
from flowllm_widgets.structure.view import StructureView
from flowllm_widgets.systems.choice import first_system

if TYPE_CHECKING:
    from flowllm_widgets.bring.read import Brought

GIVEN, REFINED = "given", "refined"


class Bring(Panel):
    """Your own crystal: dropped as a file, pasted as text, or passed in code.

    It is shown with its facts and the nearest known crystal. Buttons score it by the language model
    of a system, beside its neighbours; refine it by that system's refiner; relax it by CHGNet, with
    its place in the phase diagram; and list its neighbours in MP-20's training split. Files are
    read as by every command (`flowllm.inputs`); what is wrong with one stands below the field.

    Args:
        source: a path, the text of a file, a pymatgen structure, ASE atoms, or a batch.
        systems: by name; default all that ship. Each is loaded when it is first used.
        start: the system at first.

    Attributes:
        source: the `SourceField`, with the crystals that were read.
        given: the chosen one as it came, a batch of one; None before.
        trajectory: its way through the refiner; None before.
        table: the scores, as `flowllm.workflows.score.rank_by_likelihood` gives them.
        known: the neighbours.
        about: facts and the offer to relax.
        message: the line for errors of the work.

    Raises:
        InputError: no such system. A source that cannot be read is said below the field.
    """

    def __init__(
        self,
        source: Brought | None = None,
        *,
        systems: Mapping[str, FlowLLM] | None = None,
        start: str | None = None,
    ) -> None:
        super().__init__()
        self.systems: Mapping[str, FlowLLM] = Systems() if systems is None else systems
        first = first_system(self.systems, start)
        self.given: CrystalBatch | None = None
        self.trajectory: Trajectory | None = None
        self.table: Any = None
        self._background = Background(self._failed, self._finished)
        self.message, self.progress = MessageLine(), MessageLine()
        self.source = SourceField(self._show, self.message)
        self._make_controls(first)
        self._build()
        if source is not None:
            self.bring(source)

    def _make_controls(self, first: str) -> None:
        self.system = ipywidgets.Dropdown(
            description="System", options=list(self.systems), value=first, layout={"width": "auto"},
            style={"description_width": "60px"},
        )  # fmt: skip
        self.score = _button("Score", lambda _: self.start_scoring())
        self.refine = _button("Refine", lambda _: self.start_refining())
        self.cancel = _button("Cancel", lambda _: self._background.cancel())
        self.state = ipywidgets.ToggleButtons(
            options=[GIVEN], style={"button_width": "90px"}, layout={"display": "none"}
        )
        self.state.observe(self._show_state, "value")

    def _build(self) -> None:
        self.view = StructureView(height=300)
        self._slot = ipywidgets.VBox([self.view])
        self.scores, self.about, self.known = ipywidgets.HTML(), AboutCrystal(), KnownPanel()
        self.about.stability.button.layout.align_self = "flex-start"
        row = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 6px"}
        work = ipywidgets.HBox(
            [self.score, self.refine, self.known.button, self.cancel, self.system], layout=row
        )
        # the facts below the picture; the relaxation, once asked for, takes the whole width
        left = ipywidgets.VBox([self.state, self._slot, self.about.facts, self.about.nearest])
        right = ipywidgets.VBox([work, self.progress, self.message, self.scores, self.known])
        for side in (left, right):
            side.layout.flex, side.layout.min_width = "1 1 320px", "min(320px, 100%)"
        sides = ipywidgets.HBox(
            [left, right], layout={"flex_flow": "row wrap", "grid_gap": "4px 20px"}
        )
        self._body = ipywidgets.VBox([sides, self.about.stability], layout={"display": "none"})
        self.fill([self.source, self._body, Frame()])
        self._set_buttons()

    # ---- reading -------------------------------------------------------------------------------

    @property
    def crystals(self) -> CrystalBatch:
        """Those that were read; `source.which` chooses one."""
        return self.source.crystals

    def bring(self, source: Brought) -> None:
        """Read a path, a text or an object and show its first crystal, or show the error."""
        self.source.take(source)

    def _show(self, crystal: CrystalBatch) -> None:
        self._background.cancel()
        self.given, self.trajectory, self.table = crystal, None, None
        self.scores.value = ""
        self.message.clear()
        self.progress.clear()
        self._body.layout.display = ""
        self.state.layout.display = "none"
        self.state.options = [GIVEN]
        self._set_buttons()
        self._show_state()

    # ---- showing -------------------------------------------------------------------------------

    @property
    def refined(self) -> CrystalBatch | None:
        """The refined crystal, a batch of one; None before."""
        return None if self.trajectory is None else self.trajectory.last

    @shows_errors
    def _show_state(self, _: object = None) -> None:
        if self.given is None:
            return
        if self.trajectory is not None and self.state.value == REFINED:
            self._slot.children = (PlayerView(self.trajectory, title="refinement", height=300),)
            crystal, others = self.trajectory.last, {GIVEN: self.given}
        else:
            self.view.show(self.given)
            self._slot.children = (self.view,)
            crystal, others = self.given, {}
        self.known.offer(crystal)
        self.about.show(crystal, others)

    # ---- work ----------------------------------------------------------------------------------

    @shows_errors
    def start_refining(self) -> None:
        """Refine the given crystal by the chosen system, in the background."""
        crystal, name = self._crystal(), self.system.value
        self._begin(f"refining by {name} …")

        def work(stop: Stop) -> None:
            way = refine(self.systems[name], crystal, stop)
            stop.check()
            self.trajectory = way
            self.state.options = [GIVEN, REFINED]
            self.state.layout.display = ""
            self.state.value = REFINED

        self._background.start(work)

    @shows_errors
    def start_scoring(self) -> None:
        """Score the crystal and its neighbours by the chosen system's language model."""
        crystal, name = self._crystal(), self.system.value
        self._begin(f"scoring by the language model of {name} …")

        def work(stop: Stop) -> None:
            batches = {GIVEN: crystal}
            if self.refined is not None:
                batches[REFINED] = self.refined
            for known, its in self.known.find():
                batches[f"{known.formula} ({known.id})"] = its
            stop.check()
            table = score(self.systems[name], batches)
            stop.check()
            self.table, self.scores.value = table, score_table(table)

        self._background.start(work)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being computed; False if it still is after `timeout` seconds."""
        return self._background.wait(timeout)

    def _crystal(self) -> CrystalBatch:
        if self.given is None:
            raise InputError("there is no crystal yet; drop a file first")
        return self.given

    def _begin(self, words: str) -> None:
        self.message.clear()
        self.progress.say(words)
        self._set_buttons(busy=True)

    def _set_buttons(self, busy: bool = False) -> None:
        for button in (self.score, self.refine, self.known.button):
            button.disabled = busy or self.given is None
        self.cancel.layout.display = "" if busy else "none"

    def _failed(self, error: Exception) -> None:
        self.message.error(error)

    def _finished(self, cancelled: bool) -> None:
        self.progress.say("cancelled") if cancelled else self.progress.clear()
        self._set_buttons()


def _button(text: str, clicked: Callable[[object], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=text, layout={"width": "auto"})
    button.on_click(clicked)
    return button
