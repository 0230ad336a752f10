"""ElementPicker: a periodic table that folds out below a field for elements."""

from __future__ import annotations

import re
from typing import Any

import ipywidgets

from flowllm.crystals.elements import NUMBER_OF
from flowllm_widgets.periodic_table.table import ElementTable

TITLE = "Choose elements in the periodic table"


class ElementPicker(ipywidgets.Accordion):
    """A foldable table that shows the elements of a field and writes the choice into it.

    Args:
        field: its text is symbols, as in "Li, Fe, O".

    Attributes:
        table: the table, once it was unfolded.
    """

    def __init__(self, field: ipywidgets.Text) -> None:
        self._field = field
        self.table: ElementTable | None = None
        self._room = ipywidgets.VBox()
        super().__init__([self._room], titles=(TITLE,))
        self.observe(self._unfold, "selected_index")

    def _unfold(self, _: Any) -> None:
        if self.selected_index is None or self.table is not None:
            return
        self.table = ElementTable(label=TITLE, selected=self._written())
        self.table.observe(self._choose, "selected")
        self._field.observe(self._follow, "value")
        self._room.children = (self.table,)

    def _written(self) -> list[str]:
        """The elements in the field; anything else is ignored."""
        return [word for word in re.findall(r"[A-Za-z]+", self._field.value) if word in NUMBER_OF]

    def _choose(self, change: dict[str, Any]) -> None:
        if set(change["new"]) != set(self._written()):
            self._field.value = ", ".join(change["new"])

    def _follow(self, _: Any) -> None:
        assert self.table is not None
        if set(self._written()) != set(self.table.selected):
            self.table.selected = self._written()
