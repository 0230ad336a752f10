"""CrystalBrowser: a table of crystals linked to a 3-D view; picks can be exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm_widgets.browser.catalogue import Catalogue, read_catalogue, slow_columns
from flowllm_widgets.browser.controls import FilterControls
from flowllm_widgets.browser.picks import FORMATS, as_download, export_picks, target_of
from flowllm_widgets.browser.table import CrystalTable
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.stability.about import AboutCrystal
from flowllm_widgets.structure.view import StructureView
from flowllm_widgets.trajectory.download import DownloadLink

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
        )  # fmt: skip
        self.filters = FilterControls(self.catalogue, LABELS, self._filter, self.message)
        self.before = StructureView(height=280)
        self.after = StructureView(height=280)
        self.relaxed = StructureView(height=280)
        self.about = AboutCrystal()
        self.compute = ipywidgets.Button(
            description="Compute space groups and validity", layout={"width": "auto"}
        )
        self._work = Background(self.message.error, self._computed)
        self._writing = Background(self.message.error)
        self._build()
        self._offer_to_compute()
        if len(self.table.order):
            self.table.selected = int(self.table.order[0])

    # ---- picks -----------------------------------------------------------------------------

    @property
    def picks(self) -> CrystalBatch:
        """The picked crystals, in the order of picking."""
        return self.catalogue.crystals[self.catalogue.place[self._picked_rows()]]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for what goes on in the background; False if it still does after `timeout` s."""
        return self._work.wait(timeout) and self._writing.wait(timeout)

    def _picked_rows(self) -> np.ndarray:
        rows = np.array(self.table.picked, dtype=np.int64)
        return rows[self.catalogue.place[rows] >= 0]

    # ---- building --------------------------------------------------------------------------

    def _build(self) -> None:
        def button(text: str, do: Any) -> ipywidgets.Button:
            made = ipywidgets.Button(description=text, layout={"width": "auto"})
            made.on_click(do)
            return made

        self.pick = button("Add to picks", self._pick)
        self.pick_all = button("Add all listed", self._pick_all)
        self.drop = button("Remove", self._drop)
        self.drop_all = button("Remove all", self._drop_all)
        self.list = ipywidgets.Select(
            description="Picks", rows=7, style={"description_width": "60px"},
            layout={"width": "auto"},
        )  # fmt: skip
        wide = {"style": {"description_width": "60px"}, "layout": {"width": "auto"}}
        self.format = ipywidgets.Dropdown(description="Write", options=FORMATS, **wide)
        self.folder = ipywidgets.Text(description="Folder", value="picks", **wide)
        self.export = button("Export picks", self._export)
        self.exported, self.link = MessageLine(), DownloadLink()
        self.list.observe(self._list_chosen, "value")
        self.table.observe(self._show, "selected")
        self.table.observe(self._list_picks, "picked")
        self.compute.on_click(lambda _: self._compute())
        self._list_picks()
        row = {"flex_flow": "row wrap", "overflow": "visible"}
        sides = ipywidgets.VBox(
            [
                ipywidgets.HBox([self.pick, self.pick_all], layout=row),
                self.list,
                ipywidgets.HBox([self.drop, self.drop_all], layout=row),
                self.format, self.folder, self.export, self.exported, self.link,
            ],
            layout={"flex": "1 1 250px", "min_width": "250px", "overflow": "visible"},
        )  # fmt: skip
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
                ipywidgets.HBox([*views, sides], layout={**row, "align_items": "flex-start"}),
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
            raise InputError(f"no column {unknown[0]}; there are {', '.join(rows.columns)}")
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

    @shows_errors
    def _list_chosen(self, change: object) -> None:
        if self.list.value is not None:
            self.table.selected = self.list.value

    @shows_errors
    def _list_picks(self, change: object = None) -> None:
        rows = self.catalogue.rows
        chosen = self.list.value
        ids, formulas = rows["id"].to_numpy(), rows["formula"].to_numpy()
        options = [(f"{ids[at]} · {formulas[at]}", at) for at in self.table.picked]
        with self.list.hold_trait_notifications():
            self.list.options = options
            self.list.value = chosen if chosen in self.table.picked else None
        count = len(options)
        self.export.description = f"Export {count} picks" if count != 1 else "Export 1 pick"
        self.export.disabled = self.drop_all.disabled = self.drop.disabled = not count

    @shows_errors
    def _pick(self, button: object) -> None:
        self._add([self.table.selected] if self.table.selected >= 0 else [])

    @shows_errors
    def _pick_all(self, button: object) -> None:
        self._add(self.table.order.tolist())

    def _add(self, rows: list[int]) -> None:
        new = [row for row in rows if self.catalogue.place[row] >= 0]
        self.table.picked = tuple(dict.fromkeys([*self.table.picked, *new]))

    @shows_errors
    def _drop(self, button: object) -> None:
        row = self.list.value if self.list.value is not None else self.table.selected
        self.table.picked = tuple(each for each in self.table.picked if each != row)

    @shows_errors
    def _drop_all(self, button: object) -> None:
        self.table.picked = ()

    @shows_errors
    def _export(self, button: object) -> None:
        kind, folder, rows = self.format.value, self.folder.value, self._picked_rows()
        crystals, table = self.picks, self.catalogue.rows.iloc[rows]
        self.exported.say(f"writing to {folder} …")
        self.link.withdraw()

        def work(stop: Stop) -> None:
            try:
                self.exported.say(export_picks(kind, crystals, table, folder))
                self.link.offer(*as_download(target_of(folder)))
            except Exception as error:
                self.exported.error(error)

        self._writing.start(work)

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
        """End the work in the background and remove the widget."""
        self._work.cancel()
        super().close()
