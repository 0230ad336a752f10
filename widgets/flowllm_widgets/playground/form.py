"""PromptForm: the prompt as text, and its standard sentences as fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import traitlets

from flowllm.conditions.conditions import KINDS
from flowllm.conditions.ranges import TrainingRanges
from flowllm.text.prompts import build_prompt
from flowllm_widgets.periodic_table.picker import ElementPicker
from flowllm_widgets.playground.conditions import (
    FIELDS,
    MAX_ATOMS,
    Checked,
    check,
    remark_on,
    with_value,
)
from flowllm_widgets.shared.messages import MessageLine, shows_errors

FIELD = {"width": "auto", "flex": "1 1 260px", "max_width": "366px", "min_width": "0"}


class PromptForm(ipywidgets.VBox):
    """A prompt as text and as fields, kept in sync.

    Args:
        training: what the model has seen; a condition outside is warned of beside its field.
        max_atoms: of its largest cell.
        names: the conditions that can be asked; others have no field and are refused.
        text: whether the prompt itself can be written; without it only the fields are there.

    Attributes:
        prompt: the text.
        valid: whether nothing is wrong with it; a warning is not a fault.
    """

    prompt = traitlets.Unicode()
    valid = traitlets.Bool(True)

    def __init__(
        self,
        training: TrainingRanges | None = None,
        max_atoms: int = MAX_ATOMS,
        names: Sequence[str] = tuple(FIELDS),
        text: bool = True,
    ) -> None:
        self._training, self._max_atoms, self.names = training, max_atoms, tuple(names)
        self.message = MessageLine()
        self.warning = MessageLine()
        self.text = ipywidgets.Textarea(
            description="Prompt", rows=4, layout={"width": "auto"},
            style={"description_width": "60px"},
        )  # fmt: skip
        self.fields: dict[str, ipywidgets.Text] = {}
        self.notes: dict[str, MessageLine] = {"prompt": MessageLine()}
        rows = []
        for name, (label, example) in FIELDS.items():
            self.fields[name] = ipywidgets.Text(
                description=label,
                placeholder=example,
                layout=dict(FIELD),
                style={"description_width": "185px"},
            )
            self.notes[name] = MessageLine()
            self.notes[name].layout = {"flex": "1 1 200px", "min_width": "0"}
            row = ipywidgets.HBox([self.fields[name], self.notes[name]])
            row.layout.align_items, row.layout.flex_flow = "center", "row wrap"
            if name in self.names:
                rows.append(row)
            self.fields[name].observe(self._field_changed, "value")
        if "elements" in self.names:
            rows.append(ElementPicker(self.fields["elements"]))
        self.clear = ipywidgets.Button(
            description="Clear", icon="eraser",
            layout={"width": "110px", "margin": "2px 2px 2px 205px"},
        )  # fmt: skip
        self.clear.on_click(lambda _: self.set(build_prompt()))
        if not text:
            self.text.layout.display = self.warning.layout.display = "none"
        self.top = ipywidgets.VBox([self.text, self.warning, self.notes["prompt"], self.message])
        self.conditions = ipywidgets.VBox([*rows, self.clear])
        self.text.observe(self._text_changed, "value")
        self._writing = False  # whether a change is our own and needs no answer
        super().__init__([self.top, self.conditions])
        self.set(build_prompt())

    def on_enter(self, do: Callable[[], Any]) -> None:
        """Call a function when Enter is pressed in a field."""
        for field in self.fields.values():
            field.on_msg(lambda _, content, __: do() if content.get("event") == "submit" else None)

    def set(self, prompt: str) -> None:
        """Show another prompt."""
        self._write(prompt, "")

    @shows_errors
    def _field_changed(self, change: dict[str, object]) -> None:
        if self._writing:
            return
        name = next(n for n, field in self.fields.items() if field is change["owner"])
        typed = self.fields[name].value
        self._write(with_value(self.text.value, name, typed), name, remark_on(name, typed))

    @shows_errors
    def _text_changed(self, change: dict[str, object]) -> None:
        if not self._writing:
            self._write(self.text.value, "prompt")

    def _write(self, prompt: str, author: str, remark: str = "") -> None:
        """Show a prompt everywhere but in the field being typed into.

        Args:
            prompt: the text.
            author: the field that is typed into; "prompt" for the text, "" for none.
            remark: how the field's value was read.
        """
        found = check(prompt, self._training, self._max_atoms)
        unheeded = [KINDS[n].title for n, v in found.values.items() if v and n not in self.names]
        if unheeded:
            found.problems.setdefault("prompt", f"this system does not support {unheeded[0]}")
        if remark and author not in found.notes:
            found.notes[author] = remark
        self._writing = True
        try:
            if author != "prompt":
                self.text.value = prompt
            for name, field in self.fields.items():
                if name != author:
                    field.value = found.values[name]
        finally:
            self._writing = False
        self._tell(found)
        self.prompt = prompt

    def _tell(self, found: Checked) -> None:
        for name, note in self.notes.items():
            problem, strange = found.problems.get(name, ""), found.notes.get(name, "")
            note.layout.display = None if problem or strange else "none"
            kind = "error" if problem else "warning" if strange else ""
            if (problem or strange, kind) == (note.text, note.kind):
                continue
            if problem:
                note.error(problem)
            elif strange:
                note.warning(strange)
            else:
                note.clear()
        if found.warning != self.warning.text:
            self.warning.warning(found.warning) if found.warning else self.warning.clear()
        self.valid = not found.problems
