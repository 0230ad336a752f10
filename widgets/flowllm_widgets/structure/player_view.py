"""PlayerView: a trajectory that plays in 3-D, and still crystals beside it under one camera."""

from __future__ import annotations

from typing import Any

import ipywidgets
import traitlets

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.larger_cells import conventional_axes, in_cell
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.structure.cell import cell_box, offer_cell
from flowllm_widgets.structure.display import Display
from flowllm_widgets.structure.drawing import draw_moving

Repeats = tuple[int, int, int]
LINKED = ("frame", "playing", "speed", "loop", "labels")


class PlayerView(Panel):
    """A trajectory of one crystal that plays, and still crystals beside it.

    Args:
        trajectory: of one crystal, T frames.
        stills: {caption: batch of one crystal} shown beside it.
        title: caption of the moving picture.
        height: of the pictures, in pixels.
        supercell: repetitions along a, b and c.
        labels: whether element and number are written at the atoms.
        renderer: "auto", "nglview", "plotly" (3-D) or "flat" (a projection, without WebGL).

    Attributes:
        frame: the frame shown, 0 to T - 1; set it to move there. While it plays, it follows up to
            eight times a second.
        playing: whether it plays.
        speed: frames a second, 1 to 60.
        loop: whether it starts again at the end.
        supercell: repetitions along a, b and c.
        labels: whether element and number are written at the atoms.
        conventional: whether all frames are drawn in the conventional cell of the last one.
        trajectory: what plays.
        stills: what stands beside it.
        display: the pictures; `display.player` is the part in the browser.
        message: the line for errors.

    Raises:
        InputError: no such renderer, a caption twice, or as `draw_moving`.
    """

    frame = traitlets.Int(0)
    playing = traitlets.Bool(False)
    speed = traitlets.Float(20.0, min=1.0, max=60.0)
    loop = traitlets.Bool(True)
    supercell = traitlets.Tuple(traitlets.Int(), traitlets.Int(), traitlets.Int())
    labels = traitlets.Bool(False)
    conventional = traitlets.Bool(False)

    def __init__(
        self,
        trajectory: Trajectory,
        stills: dict[str, CrystalBatch] | None = None,
        *,
        title: str = "trajectory",
        height: int = 340,
        supercell: Repeats = (1, 1, 1),
        labels: bool = False,
        renderer: str = "auto",
    ) -> None:
        super().__init__()
        self.message = MessageLine()
        self.display = Display(height, renderer)
        self.title = title
        self._repeats = [_repeat(axis) for axis in "abc"]
        self._cell = cell_box()
        self._panels = ipywidgets.HBox(layout={"flex_flow": "row wrap", "grid_gap": "0 10px"})
        label_box = ipywidgets.Checkbox(
            description="Labels", indent=False, layout={"width": "auto"}
        )
        reset = ipywidgets.Button(description="Reset view", layout={"width": "auto"})
        reset.on_click(lambda _: self.reset_view())
        row = ipywidgets.HBox(
            [
                ipywidgets.Label("Supercell"),
                *self._repeats,
                self._cell,
                label_box,
                self._panels,
                reset,
            ],
            layout={"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 10px"},
        )
        self.fill([self.display, row, self.message])
        self._exchange(trajectory, stills, supercell)
        self.labels = labels
        for name in LINKED:
            traitlets.link((self, name), (self.display.player, name))
        traitlets.link((self, "labels"), (label_box, "value"))
        traitlets.dlink((self.display, "kind"), (label_box, "disabled"), _without_labels)
        self.observe(self._on_supercell, "supercell")
        traitlets.link((self, "conventional"), (self._cell, "value"))
        self.observe(self._on_cell, "conventional")
        for box in self._repeats:
            box.observe(self._on_repeats, "value")

    def set_trajectory(
        self, trajectory: Trajectory, stills: dict[str, CrystalBatch] | None = None
    ) -> None:
        """Show another trajectory, from its first frame, and other stills; the camera stays.

        A supercell that is too large for it becomes (1, 1, 1). An error appears in the widget,
        which then goes on showing what it showed.
        """
        self._set(trajectory, stills)

    @property
    def pictures(self) -> list[str]:
        """The captions of the pictures that are shown."""
        pairs = zip(self.display.pictures, self.display.player.shown, strict=True)
        return [caption for caption, shown in pairs if shown]

    def reset_view(self) -> None:
        """Reset the camera of all pictures."""
        self.display.reset_view()

    @traitlets.validate("frame")
    def _within(self, proposal: Any) -> int:
        return int(min(max(0, proposal["value"]), len(self.trajectory) - 1))

    # ---- content ---------------------------------------------------------------------------

    @shows_errors
    def _set(self, trajectory: Trajectory, stills: dict[str, CrystalBatch] | None) -> None:
        self.message.clear()
        with self.display.player.hold_sync():  # at once, or the browser reports the old frame
            self.playing, self.frame = False, 0
        try:
            self._exchange(trajectory, stills, self.supercell)
        except InputError as error:
            if self.supercell == (1, 1, 1):
                raise
            self._exchange(trajectory, stills, (1, 1, 1))
            self.message.warning(f"{error}; one cell is shown")

    def _exchange(
        self, trajectory: Trajectory, stills: dict[str, CrystalBatch] | None, repeats: Repeats
    ) -> None:
        others = dict(stills or {})
        if self.title in others:
            raise InputError(f'"{self.title}" is the caption of the trajectory; choose another')
        axes = conventional_axes(trajectory.last)
        ways = {self.title: trajectory}
        ways |= {name: Trajectory.from_frames([0.0], [still]) for name, still in others.items()}
        count = trajectory.num_atoms[0]
        pictures = {}
        for name, way in ways.items():
            # those of the same atoms have the same axes, however far they are from symmetric
            mine = axes if way.num_atoms[0] == count else conventional_axes(way.last)
            if self.conventional and mine is not None:
                way = in_cell(way, mine)
            pictures[name] = draw_moving(way, repeats)
        offer_cell(self._cell, axes)
        self.trajectory, self.stills, self._drawn = trajectory, others, repeats
        same = list(pictures) == list(self.display.pictures)
        axis = trajectory.axis
        places = [] if axis is None else [axis.text(k) for k in range(len(trajectory))]
        self.display.show(pictures, trajectory.times, places)
        self.supercell = repeats
        for box, count in zip(self._repeats, repeats, strict=True):
            box.value = count
        if not same:
            self.display.player.shown = [True] * len(pictures)
            self._panels.children = [self._choice(caption) for caption in pictures]
            self._panels.layout.display = None if others else "none"

    def _choice(self, caption: str) -> ipywidgets.Checkbox:
        """The box that shows and hides one picture."""
        box = ipywidgets.Checkbox(
            True, description=f"Show {caption}", indent=False, layout={"width": "auto"}
        )
        box.observe(self._on_choice, "value")
        return box

    # ---- controls --------------------------------------------------------------------------

    @shows_errors
    def _on_choice(self, _: Any) -> None:
        self.display.player.shown = [box.value for box in self._panels.children]

    @shows_errors
    def _on_repeats(self, _: Any) -> None:
        self.supercell = tuple(box.value for box in self._repeats)

    @shows_errors
    def _on_cell(self, _: Any) -> None:
        self.message.clear()
        try:
            self._exchange(self.trajectory, self.stills, self.supercell)
        except InputError:
            if self.conventional:  # it is too large to be drawn
                self.conventional = False
            raise

    @shows_errors
    def _on_supercell(self, change: dict[str, Any]) -> None:
        if change["new"] == self._drawn:
            return
        self.message.clear()
        before = self._drawn
        try:
            self._exchange(self.trajectory, self.stills, change["new"])
        except InputError:
            self.supercell = before
            for box, count in zip(self._repeats, before, strict=True):
                box.value = count
            raise


def _without_labels(kind: str) -> bool:
    return kind != "nglview"


def _repeat(axis: str) -> ipywidgets.BoundedIntText:
    return ipywidgets.BoundedIntText(
        1, min=1, max=9, description=axis, layout={"width": "72px"},
        style={"description_width": "16px"},
    )  # fmt: skip
