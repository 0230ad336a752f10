"""SourceField: a file that is dropped or a text that is pasted, and which of its crystals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs import Inputs
from flowllm_widgets.bring.drop import DropField
from flowllm_widgets.bring.read import PASTED, in_words, read_brought, read_file
from flowllm_widgets.shared.messages import MessageLine, shows_errors

if TYPE_CHECKING:
    from flowllm_widgets.bring.read import Brought

LABEL = "Drop a CIF or POSCAR here, or press to choose a file"


class SourceField(ipywidgets.VBox):
    """A field for files, one for text, and a menu where there are several crystals in it.

    What cannot be read is said below the field, and what was read before stays.

    Args:
        chosen: called with each crystal that is to be shown, a batch of one.
        message: the line for other errors.

    Attributes:
        crystals: those that were read.
        drop: the field for files.
        text, read: that for text, and its button.
        which: the menu.
    """

    def __init__(self, chosen: Callable[[CrystalBatch], None], message: MessageLine) -> None:
        self._chosen, self.message = chosen, message
        self.crystals = CrystalBatch.empty()
        self._inputs: Inputs | None = None
        self.drop = DropField(self._dropped, LABEL)
        self.text = ipywidgets.Textarea(
            placeholder="the whole text of a CIF or POSCAR", rows=6, layout={"width": "auto"}
        )
        self.read = ipywidgets.Button(description="Read this text", layout={"width": "auto"})
        self.which = ipywidgets.Dropdown(
            description="Crystal", layout={"width": "auto", "display": "none"}
        )
        self.read.on_click(self._pasted)
        self.which.observe(self._choose, "value")
        paste = ipywidgets.Accordion(
            [ipywidgets.VBox([self.text, self.read])], titles=("Paste text instead",)
        )
        super().__init__([self.drop, paste, self.which])

    def take(self, source: Brought) -> None:
        """Read a path, a text or an object and show its first crystal, or show the error."""
        self._take(lambda: read_brought(source))

    def _dropped(self, name: str, content: bytes) -> None:
        self._take(lambda: read_file(name, content))

    @shows_errors
    def _pasted(self, _: object) -> None:
        self._dropped(PASTED, self.text.value.encode())

    @shows_errors
    def _take(self, read: Callable[[], Inputs]) -> None:
        try:
            found = read()
        except InputError as error:  # what was shown before stays
            return self.drop.say(str(error), fault=True)
        names = zip(found.crystals.ids, found.crystals.formulas, strict=True)
        options = [(f"{name} · {formula}", place) for place, (name, formula) in enumerate(names)]
        self._inputs, self.crystals = None, found.crystals
        self.which.options = options  # which chooses the first, and nobody is to answer that
        self._inputs = found
        self.which.layout.display = "" if len(options) > 1 else "none"
        return self._show(0)

    @shows_errors
    def _choose(self, change: dict[str, Any]) -> None:
        if change["new"] is not None and self._inputs is not None:
            self._show(change["new"])

    def _show(self, place: int) -> None:
        assert self._inputs is not None
        self.drop.say(in_words(self._inputs, place))
        self._chosen(self.crystals[place])
