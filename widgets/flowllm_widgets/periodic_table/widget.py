"""PeriodicTable: choose elements, or see their frequencies in sets of crystals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm.stability.neighbours import SOURCE
from flowllm.viz.colours import COLOURS
from flowllm_widgets.periodic_table.data import checked_elements, frequencies, log_scale
from flowllm_widgets.periodic_table.table import ElementTable
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine
from flowllm_widgets.shared.style import Panel

DATA = "MP-20, training split"


class PeriodicTable(Panel):
    """A periodic table to choose elements from, by mouse or keys.

    A click, Space or Enter chooses an element and lets it go again; arrow keys move. With sets of
    crystals there is a table for each, coloured by the share of crystals that hold an element, on
    one logarithmic scale; what is chosen in one is chosen in all. `PeriodicTable.of_run` sets a run
    beside MP-20.

    Args:
        selected: symbols that are chosen at first.
        sets: {name: crystals} whose elements are counted; up to nine.
        allowed: symbols that can be chosen; default all.
        picks: whether elements can be chosen.

    Attributes:
        selected: the chosen symbols, by atomic number; can be set and observed.
        tables: the parts on the page, one for each set or a single one.
        shares: {name: {symbol: share of the crystals}}.

    Raises:
        InputError: a symbol is not an element, a set is empty, or there are too many sets.
    """

    selected: Any = traitlets.Tuple()

    def __init__(
        self,
        selected: Sequence[str] = (),
        *,
        sets: Mapping[str, CrystalBatch] | None = None,
        allowed: Sequence[str] = (),
        picks: bool = True,
    ) -> None:
        super().__init__()
        if sets and len(sets) > len(COLOURS):
            raise InputError(f"at most {len(COLOURS)} sets of crystals, not {len(sets)}")
        self.message, self._said = MessageLine(), ipywidgets.HTML()
        can = list(checked_elements(allowed))
        self.shares = {name: frequencies(crystals) for name, crystals in (sets or {}).items()}
        scale = list(log_scale(list(self.shares.values())))
        self.tables = [
            ElementTable(
                label=f"Elements of {name}", heading=f"{name}: {len(crystals):,} crystals",
                shares=self.shares[name], scale=scale, colour=colour, allowed=can, picks=picks,
            )
            for (name, crystals), colour in zip((sets or {}).items(), COLOURS, strict=False)
        ] or [ElementTable(allowed=can, picks=picks)]  # fmt: skip
        for table in self.tables:
            table.layout.flex, table.layout.min_width = "1 1 400px", "min(400px, 100%)"
            table.observe(self._chosen, "selected")
        row = ipywidgets.HBox(
            self.tables,
            layout={"flex_flow": "row wrap", "grid_gap": "8px 22px", "max_width": "100%"},
        )
        self.fill([row, self._said, self.message, Frame()])
        self.observe(self._show, "selected")
        self._picks = picks
        self.selected = checked_elements(selected)
        self._show()

    @classmethod
    def of_run(cls, run: str | Path | CrystalBatch, **options: Any) -> PeriodicTable:
        """The elements of a run, or of any crystals, compared with those of MP-20.

        Args:
            run: the folder of a run, any other source of `flowllm.inputs.read_inputs`, or a batch.
            **options: of the table.

        Raises:
            InputError: the source cannot be read.
        """
        crystals = run if isinstance(run, CrystalBatch) else read_inputs(run).crystals
        name = "crystals" if isinstance(run, CrystalBatch) else Path(run).name
        sets = {name: crystals, DATA: load_shipped(SOURCE, "train").crystals}
        return cls(sets=sets, **options)

    @traitlets.validate("selected")
    def _checked(self, proposal: Any) -> tuple[str, ...]:
        return checked_elements(proposal["value"])

    def _chosen(self, change: dict[str, Any]) -> None:
        self.selected = tuple(change["new"])

    def _show(self, _: object = None) -> None:
        for table in self.tables:
            if tuple(table.selected) != self.selected:
                table.selected = list(self.selected)
        lines = [f"Chosen: {', '.join(self.selected)}" if self.selected else "No element chosen."]
        for name, shares in self.shares.items() if self.selected else ():
            parts = [f"{symbol} {100 * shares.get(symbol, 0):.2g} %" for symbol in self.selected]
            lines.append(f"{name}: {', '.join(parts)}")
        text = "<br>".join(lines) if self._picks else ""
        self._said.value = f'<div class="flowllm-caption" role="status">{text}</div>'
