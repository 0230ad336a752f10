"""PickPanel: which crystals of a table are picked, and writing them to files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm_widgets.browser.catalogue import Catalogue
from flowllm_widgets.browser.picks import FORMATS, as_download, export_picks, target_of
from flowllm_widgets.browser.table import CrystalTable
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.trajectory.download import DownloadLink

WIDE = {"style": {"description_width": "60px"}, "layout": {"width": "auto"}}


class PickPanel(ipywidgets.VBox):
    """The list of picks of a table, buttons that change it, and their export.

    Args:
        table: whose rows are picked.
        catalogue: gives what its rows are of.
        message: the line where its owner shows errors.
    """

    def __init__(
        self, table: CrystalTable, catalogue: Callable[[], Catalogue], message: MessageLine
    ) -> None:
        self.table, self._catalogue, self.message = table, catalogue, message
        self._writing = Background(message.error)
        self.pick = _button("Add to picks", self._pick)
        self.pick_all = _button("Add all listed", self._pick_all)
        self.drop = _button("Remove", self._drop)
        self.drop_all = _button("Remove all", self._drop_all)
        self.list = ipywidgets.Select(description="Picks", rows=7, **WIDE)
        self.format = ipywidgets.Dropdown(description="Write", options=FORMATS, **WIDE)
        self.folder = ipywidgets.Text(description="Folder", value="picks", **WIDE)
        self.export = _button("Export picks", self._export)
        self.exported, self.link = MessageLine(), DownloadLink()
        self.list.observe(self._list_chosen, "value")
        table.observe(self._list_picks, "picked")
        row = {"flex_flow": "row wrap", "overflow": "visible"}
        super().__init__(
            [
                ipywidgets.HBox([self.pick, self.pick_all], layout=row),
                self.list,
                ipywidgets.HBox([self.drop, self.drop_all], layout=row),
                self.format, self.folder, self.export, self.exported, self.link,
            ],
            layout={"flex": "1 1 250px", "min_width": "250px", "overflow": "visible"},
        )  # fmt: skip
        self._list_picks()

    @property
    def crystals(self) -> CrystalBatch:
        """The picked crystals, in the order of picking."""
        catalogue = self._catalogue()
        return catalogue.crystals[catalogue.place[self._rows()]]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is written; False if it still is after `timeout` seconds."""
        return self._writing.wait(timeout)

    def _rows(self) -> np.ndarray:
        rows = np.array(self.table.picked, dtype=np.int64)
        return rows[self._catalogue().place[rows] >= 0]

    @shows_errors
    def _list_chosen(self, change: object) -> None:
        if self.list.value is not None:
            self.table.selected = self.list.value

    @shows_errors
    def _list_picks(self, change: object = None) -> None:
        rows = self._catalogue().rows
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
        new = [row for row in rows if self._catalogue().place[row] >= 0]
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
        kind, folder, rows = self.format.value, self.folder.value, self._rows()
        crystals, table = self.crystals, self._catalogue().rows.iloc[rows]
        self.exported.say(f"writing to {folder} …")
        self.link.withdraw()

        def work(stop: Stop) -> None:
            try:
                self.exported.say(export_picks(kind, crystals, table, folder))
                self.link.offer(*as_download(target_of(folder)))
            except Exception as error:
                self.exported.error(error)

        self._writing.start(work)


def _button(text: str, do: Callable[[Any], Any]) -> ipywidgets.Button:
    made = ipywidgets.Button(description=text, layout={"width": "auto"})
    made.on_click(do)
    return made
