"""The tabs of the app that show a run: its crystals, and their trajectories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ipywidgets

from flowllm.crystals.trajectory import Trajectory
from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError
from flowllm.stability.neighbours import SOURCE
from flowllm_widgets.browser.widget import CrystalBrowser
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.trajectory.widget import TrajectoryViewer

EXAMPLE = "MP-20, validation split"
TRAJECTORIES = "trajectories.npz"
"""In the folder of a run that was made with --record."""
NONE_YET = (
    "There are no trajectories yet: generate crystals in the playground and press Show, or open a "
    "run made by flowllm generate --record."
)


class BrowserTab(ipywidgets.VBox):
    """A field for a folder, and the browser of its crystals; at first those of the run or of MP-20.

    Args:
        run: a folder that can be browsed.

    Attributes:
        folder: the field.
        browser: the browser on view.
    """

    def __init__(self, run: Path | None) -> None:
        self.message = MessageLine()
        self.folder = ipywidgets.Text(
            "" if run is None else str(run), description="Folder", continuous_update=False,
            placeholder="of a run, an evaluation, or crystals",
            layout={"width": "min(520px, 100%)"},
        )  # fmt: skip
        self.browser: CrystalBrowser | None = None
        self._slot = ipywidgets.VBox()
        super().__init__([self.folder, self.message, self._slot])
        self._open()
        self.folder.observe(self._open, "value")

    @shows_errors
    def _open(self, _: object = None) -> None:
        self.message.clear()
        path = self.folder.value.strip()
        if path:
            browser = CrystalBrowser(Path(path).expanduser())
        else:
            self.message.say(EXAMPLE)
            browser = CrystalBrowser(load_shipped(SOURCE, "val").crystals)
        if self.browser is not None:
            self.browser.close()
        self.browser, self._slot.children = browser, (browser,)


class ViewerTab(ipywidgets.VBox):
    """Trajectories of a run, or of what the playground made.

    Args:
        run: a folder, of which the recorded trajectories are shown where there are any.
        of_playground: gives the trajectory of the try on view; None where there is none.

    Attributes:
        show: the button that takes the playground's crystals.
        viewer: the viewer on view.
    """

    def __init__(self, run: Path | None, of_playground: Callable[[], object]) -> None:
        self.message = MessageLine()
        self._of_playground = of_playground
        self.show = ipywidgets.Button(
            description="Show the playground's crystals",
            layout={"width": "auto", "align_self": "flex-start"},
        )
        self.show.on_click(self._take)
        self.viewer: TrajectoryViewer | None = None
        self._slot = ipywidgets.VBox()
        super().__init__([self.show, self.message, self._slot])
        recorded = None if run is None else run / TRAJECTORIES
        if recorded is not None and recorded.is_file():
            self._set(Trajectory.load(recorded))
        elif self._of_playground() is not None:
            self._take()
        else:
            self.message.say(NONE_YET)

    @shows_errors
    def _take(self, _: object = None) -> None:
        way = self._of_playground()
        if not isinstance(way, Trajectory):
            raise InputError(NONE_YET)
        self.message.clear()
        self._set(way)

    def _set(self, way: Trajectory) -> None:
        self.viewer = TrajectoryViewer(way)
        self._slot.children = (self.viewer,)
