"""CrystalBrowser: a table of crystals linked to a 3-D view; picks can be exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.viz.facts import group_in_words
from flowllm_widgets.browser.catalogue import Catalogue, read_catalogue, slow_columns
from flowllm_widgets.browser.controls import FilterControls
from flowllm_widgets.browser.picker import PickPanel
from flowllm_widgets.browser.table import CrystalTable
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.stability.about import AboutCrystal
from flowllm_widgets.structure.view import StructureView

if TYPE_CHECKING:
    from flowllm.crystals.trajectory import Trajectory
    from flowllm.evaluation import Report

COLUMNS = (
    "id", "formula", "elements", "num_atoms", "e_above_hull", "density", "space_group",
    "valid_structure", "valid_composition", "unique", "novel", "sun",
)  # fmt: skip
LABELS = {
    "num_atoms": "atoms",
    "n_elements": "number of elements",
    "e_above_hull": "E_hull (eV/atom)",
    "formation_energy": "formation energy (eV/atom)",
    "density": "density (g/cm³)",
    "valid_structure": "structure valid",
    "valid_composition": "composition valid",
    "sun": "S.U.N.",
    "msun": "M.S.U.N.",
}
UNASKED = 500  # crystals up to which missing columns are computed without being asked


class CrystalBrowser(Panel):
    """A sortable, filterable table of crystals; the chosen one is shown in 3-D.

    Arrow keys in the table move the choice, Space picks it. A run shows each crystal before and
    after refinement, an evaluation also as CHGNet relaxed it, of which E_hull is. Space groups and
    validities that the source lacks are computed in the background, at once for a few hundred
    crystals, else on request.

    Args:
        source: a `Report`, the folder of a run or an evaluation, anything else that
            `flowllm.inputs.read_inputs` reads, or a batch.
        columns: names of the table's columns; default those of `COLUMNS` that hold something.
        trajectory: its first frame holds the crystals before refinement, under the same ids.

    Raises:
        InputError: the source cannot be read, a column is unknown, or the trajectory is of other
            crystals.
    """

    def __init__(
        self,
        source: Report | CrystalBatch | str | Path,
        *,
        columns: Sequence[str] | None = None,
        trajectory: Trajectory | None = None,
    ) -> None:
        super().__init__()
        self.catalogue = read_catalogue(source, trajectory)
        self._wanted = columns
        shown = self._columns(self.catalogue)
        self.message, self._progress = MessageLine(), MessageLine()
        self.table = CrystalTable(
            self.catalogue.rows, shown, LABELS,
            message=self.message, label=f"Crystals of {self.catalogue.name}", pickable=True,
            words={"space_group": group_in_words},
        )  # fmt: skip
        self.filters = FilterControls(self.catalogue, LABELS, self._filter, self.message)
        self.before = StructureView(height=280)
        self.after = StructureView(height=280)
        self.relaxed = StructureView(height=280)
        self.picker = PickPanel(self.table, lambda: self.catalogue, self.message)
        self.about = AboutCrystal()
        self.compute = ipywidgets.Button(
            description="Compute space groups and validity", layout={"width": "auto"}
        )
        self._work = Background(self.message.error, self._computed)
        self._build()
        self._offer_to_compute()
        if len(self.table.order):
            self.table.selected = int(self.table.order[0])

    # ---- picks -----------------------------------------------------------------------------

    @property
    def picks(self) -> CrystalBatch:
        """The picked crystals, in the order of picking."""
        return self.picker.crystals

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for background work; False if it still runs after `timeout` s."""
        return self._work.wait(timeout) and self.picker.wait(timeout)

    # ---- building --------------------------------------------------------------------------

    def _build(self) -> None:
        self.table.observe(self._show, "selected")
        self.compute.on_click(lambda _: self._compute())
        row = {"flex_flow": "row wrap", "overflow": "visible"}
        views = [self.after]
        if len(self.catalogue.before):
            views.insert(0, self.before)
        if len(self.catalogue.relaxed):
            views.append(self.relaxed)
        for view in views:
            view.layout.flex, view.layout.min_width = "1 1 240px", "220px"
        self.fill(
            [
                self.filters, self.message, self.table,
                ipywidgets.HBox([self.compute, self._progress], layout=row),
                ipywidgets.HBox([*views, self.picker], layout={**row, "align_items": "flex-start"}),
                self.about,
                Frame(),
            ]
        )  # fmt: skip

    def _columns(self, catalogue: Catalogue) -> list[str]:
        rows = catalogue.rows
        if self._wanted is None:
            return [name for name in COLUMNS if name in rows and rows[name].notna().any()]
        unknown = [name for name in self._wanted if name not in rows]
        if unknown:
            raise InputError(f"no column {unknown[0]}; the columns are {', '.join(rows.columns)}")
        return list(self._wanted)

    # ---- what a person does ----------------------------------------------------------------

    @shows_errors
    def _filter(self) -> None:
        self.message.clear()
        self.table.keep(self.filters.value.mask(self.catalogue))

    @shows_errors
    def _show(self, change: object = None) -> None:
        row = self.table.selected
        if row < 0:
            return
        self.message.clear()
        about = self.catalogue.rows.iloc[row]
        crystal, before = self.catalogue.crystal(row), self.catalogue.crystal_before(row)
        text = f"{about['id']} · {about['formula']}" if crystal is not None else str(about["id"])
        if len(self.catalogue.before):
            self.before.show(before, f"{text} · before refinement" if before is not None else "")
            text += " · after refinement"
        if crystal is None:
            text += f" · no crystal: {about.get('reason') or 'it could not be read'}"
        self.after.show(crystal, text)
        relaxed = self.catalogue.crystal_relaxed(row)
        if len(self.catalogue.relaxed):
            height = about.get("e_above_hull")
            known = (
                f": E_hull {height:.3f} eV/atom" if height == height and height is not None else ""
            )
            name = f"{about['id']} · relaxed by CHGNet{known}"
            self.relaxed.show(relaxed, name if relaxed is not None else "")
        self.about.show(crystal, {} if before is None else {"before refinement": before})

    # ---- columns that take time ------------------------------------------------------------

    def _offer_to_compute(self) -> None:
        few = len(self.catalogue.crystals) <= UNASKED
        wanted = bool(self.catalogue.missing) and len(self.catalogue.crystals) > 0
        self.compute.layout.display = "" if wanted and not few else "none"
        if wanted and few:
            self._compute()

    @shows_errors
    def _compute(self) -> None:
        self.compute.layout.display = "none"
        crystals, names = self.catalogue.crystals, self.catalogue.missing

        def work(stop: Stop) -> None:
            def tick(done: int, total: int) -> None:
                stop.check()
                self._progress.say(f"space groups and validity: {done:,} of {total:,} crystals")

            self._take(self.catalogue.with_columns(slow_columns(crystals, names, tick)))

        self._work.start(work)

    def _take(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.table.update_rows(catalogue.rows, self._columns(catalogue))
        self.filters.offer(catalogue)

    def _computed(self, cancelled: bool) -> None:
        self._progress.clear()
        self.renew_still()

    def close(self) -> None:
        """Stop background work and remove the widget."""
        self._work.cancel()
        super().close()
