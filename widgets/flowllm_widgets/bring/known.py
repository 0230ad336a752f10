"""The neighbours of a crystal among known ones: a list, and the chosen one in 3-D."""

from __future__ import annotations

from typing import Any

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm.stability.nearest_known import KnownCrystal
from flowllm.stability.neighbours import WHERE, in_words
from flowllm.symmetry.symbols import typeset_symbol
from flowllm_widgets.bring.work import neighbours
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.structure.view import StructureView

HEIGHT = 240


class KnownPanel(ipywidgets.VBox):
    """Lists the nearest known crystals on a button press; the chosen one is shown.

    Attributes:
        button: which its owner puts somewhere.
        found: them and their crystals, nearest first; empty until the button is pressed.
        menu: the list.
        view: the chosen one, once there is one.
    """

    def __init__(self) -> None:
        self.message = MessageLine()
        self.button = ipywidgets.Button(description="Neighbours", layout={"width": "auto"})
        self.button.on_click(self._open)
        self.menu = ipywidgets.Select(description="Neighbour", rows=5, layout={"width": "auto"})
        self.menu.observe(self._choose, "value")
        self.view: StructureView | None = None
        self.found: list[tuple[KnownCrystal, CrystalBatch]] = []
        self._crystal: CrystalBatch | None = None
        self._asked = False
        self._room = ipywidgets.VBox()
        super().__init__([self._room, self.message])

    def offer(self, crystal: CrystalBatch) -> None:
        """Set another crystal, a batch of one; the search runs on request only."""
        self._crystal, self._asked, self.found = crystal, False, []
        self.message.clear()
        self._room.children = ()

    def find(self) -> list[tuple[KnownCrystal, CrystalBatch]]:
        """The neighbours, searched if not known yet."""
        if not self._asked and self._crystal is not None:
            self.found = neighbours(self._crystal)
            self._asked = True
        return self.found

    @shows_errors
    def _open(self, _: object) -> None:
        self.message.say("searching …")
        found = self.find()
        if not found:
            self.message.say(f"None with its formula, or of its type and space group, in {WHERE}.")
            return
        self.message.clear()
        if self.view is None:
            self.view = StructureView(height=HEIGHT)
        self._room.children = (self.menu, self.view)
        self.menu.options = [(_line(known), place) for place, (known, _) in enumerate(found)]
        self.menu.value = 0
        self._choose()

    @shows_errors
    def _choose(self, _: Any = None) -> None:
        if self.view is not None and self.menu.value is not None and self.found:
            known, crystal = self.found[self.menu.value]
            self.view.show(crystal, in_words(known))


def _line(known: KnownCrystal) -> str:
    group = typeset_symbol(known.space_group) or "no space group"
    return f"{known.formula} · {group} · {known.id}" + (" · the same" if known.same else "")
