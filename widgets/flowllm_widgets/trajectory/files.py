"""The row that writes a trajectory into a file and offers it as a download."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import ipywidgets

from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.trajectory.data import EnergyCurve, TrajectoryCurves
from flowllm_widgets.trajectory.download import DownloadLink
from flowllm_widgets.trajectory.export import FORMATS, export


class Shown(NamedTuple):
    """The current content of a viewer; see `export`."""

    trajectory: Trajectory
    curves: TrajectoryCurves
    energy: EnergyCurve | None
    frame: int
    polyhedra: bool = False


class ExportControl(ipywidgets.HBox):
    """A choice of formats, a folder, a button and a link.

    Args:
        shown: what is to be written, asked when the button is pressed.
        message: where errors and the path appear.
    """

    def __init__(self, shown: Callable[[], Shown], message: MessageLine) -> None:
        self._shown, self.message = shown, message
        self._background = Background(message.error, self._finished)
        self.kind = ipywidgets.Dropdown(
            options=[(label, kind) for kind, label in FORMATS.items()], description="Export",
            layout={"width": "260px"}, style={"description_width": "52px"},
        )  # fmt: skip
        self.folder = ipywidgets.Text(
            ".", description="into folder", layout={"width": "260px"},
            style={"description_width": "72px"},
        )  # fmt: skip
        self.button = ipywidgets.Button(description="Write file", layout={"width": "auto"})
        self.button.on_click(lambda _: self._pressed())
        self.link = DownloadLink()
        super().__init__([self.kind, self.folder, self.button, self.link])
        self.layout.flex_flow, self.layout.align_items = "row wrap", "center"
        self.layout.grid_gap = "0 8px"

    def write(self, kind: str, folder: str) -> None:
        """Write the current content, in the background.

        Args:
            kind: a key of `FORMATS`.
            folder: made if need be.

        Raises:
            InputError: no such format, or no folder.
        """
        if kind not in FORMATS:
            raise InputError(f"unknown format {kind!r}; choose from {', '.join(FORMATS)}")
        if not folder.strip():
            raise InputError('name a folder to write into; "." is that of the notebook')
        self.button.disabled = True
        self.link.withdraw()
        self.message.say("writing …")
        shown = self._shown()

        def work(stop: Stop) -> None:
            file = export(
                shown.trajectory, kind, shown.curves, shown.energy, shown.frame,
                lambda done, total: stop.check(), shown.polyhedra,
            )  # fmt: skip
            path = file.write(folder.strip())
            self.link.offer(file.name, file.content, file.mime)
            self.message.say(f"written: {path} ({len(file.content) / 1000:.0f} kB)")

        self._background.start(work)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being written; False if it still is after `timeout` seconds."""
        return self._background.wait(timeout)

    @shows_errors
    def _pressed(self) -> None:
        self.write(self.kind.value, self.folder.value)

    def _finished(self, _: bool) -> None:
        self.button.disabled = False
