"""SystemPlayground: the prompt playground with a choice of system."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import ipywidgets

from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.errors import InputError
from flowllm.systems.system import FlowLLM
from flowllm.teaching.systems import Systems, heeded
from flowllm.text.prompts import build_prompt, parse_prompt
from flowllm_widgets.playground.widget import PromptPlayground
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.systems.choice import first_system


class SystemPlayground(Panel):
    """A menu of systems above the playground of the chosen one.

    A system is loaded when it is first chosen, and keeps its settings, crystals and history. What
    is asked goes along to the next system, without what that cannot heed.

    Args:
        systems: by name; default all that ship.
        start: the system at first; the default model where it is among them, else the first.
        num: samples at first.
        seed: at first.

    Attributes:
        menu: the choice of system.
        playground: the `PromptPlayground` of the chosen one.
        message: the line for errors, and for what was left out.

    Raises:
        InputError: no such system, or num or seed out of range.
    """

    def __init__(
        self,
        systems: Mapping[str, FlowLLM] | None = None,
        start: str | None = None,
        *,
        num: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.systems: Mapping[str, FlowLLM] = Systems() if systems is None else systems
        first = first_system(self.systems, start)
        self._num, self._seed = num, seed
        self._made: dict[str, PromptPlayground] = {}
        self.message, self._about = MessageLine(), ipywidgets.HTML()
        self.menu = ipywidgets.Dropdown(
            description="System", options=list(self.systems), value=first,
            layout={"width": "300px"}, style={"description_width": "60px"},
        )  # fmt: skip
        self._slot = ipywidgets.VBox()
        row = {"flex_flow": "row wrap", "grid_gap": "2px 14px", "align_items": "center"}
        self.fill([ipywidgets.HBox([self.menu, self._about], layout=row), self.message, self._slot])
        self._open(first)
        self.menu.observe(self._choose, "value")

    @property
    def playground(self) -> PromptPlayground:
        """That of the chosen system."""
        return self._made[self._opened]

    def _open(self, name: str) -> None:
        if name not in self._made:
            model = self.systems[name]
            self._made[name] = PromptPlayground(model, num=self._num, seed=self._seed)
        self._opened = name
        text = html.escape(Systems.about(name))
        self._about.value = f'<div class="flowllm-caption">{text}</div>'
        self._slot.children = (self._made[name],)

    @shows_errors
    def _choose(self, change: dict[str, Any]) -> None:
        before = self.playground
        self.message.say(f"Loading {change['new']} …")
        try:
            self._open(change["new"])
        except InputError:
            self.menu.value = self._opened
            raise
        self.message.clear()
        self._carry(before)

    def _carry(self, before: PromptPlayground) -> None:
        """Carry the request over to the system now visible."""
        if before is self.playground or not before.form.valid:
            return
        asked: Conditions = parse_prompt(before.prompt)
        part, left_out = heeded(self.systems[self._opened], asked)
        self.playground.form.set(build_prompt(part))
        if left_out:
            names = ", ".join(KINDS[name].title for name in left_out)
            self.message.warning(f"{self._opened} does not support: {names}")
