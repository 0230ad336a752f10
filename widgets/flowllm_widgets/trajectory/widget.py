"""TrajectoryViewer: the path of crystals in 3-D, as curves over t, and as files."""

from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.relax import Potential
from flowllm_widgets.shared.chart_plain import plain_figure
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.structure.player_view import PlayerView
from flowllm_widgets.trajectory.data import EnergyCurve, TrajectoryCurves, describe, make_curves
from flowllm_widgets.trajectory.energy import EnergyControl
from flowllm_widgets.trajectory.figure import (
    ENERGY,
    layout_changes,
    make_figure,
    make_marks,
    trace_changes,
    with_marks,
)
from flowllm_widgets.trajectory.files import ExportControl, Shown
from flowllm_widgets.trajectory.marks import PlotMarks
from flowllm_widgets.trajectory.source import ENDS, Source, check_position

if TYPE_CHECKING:
    from flowllm.systems.generation import Generation


PATH_IN_WORDS = (
    "Path: the distance that the atoms have travelled, in fractional units, as the root mean "
    "square over atoms; straight (dotted): the shortest distance from the first frame."
)


class TrajectoryViewer(Panel):
    """Trajectories of crystals: 3-D views that play, curves over t, energies on request, export.

    Beside the moving crystal stand the prior, the refined crystal and, if given, a reference. The
    current frame is marked in the plots; a click in one moves the frame.

    Args:
        trajectory: of B crystals, or a `Generation`.
        crystal: position of the one shown first.
        prior: crystals before the flow, by id; the first frame if None.
        refined: crystals after it, by id; the last frame if None.
        reference: relaxed or true structures by id, or a single one.
        reference_name: its caption.
        ends: captions of prior and refined, where the trajectory is of something else than a flow.
        energies: compute CHGNet energies at once.
        renderer: of the 3-D views, see `PlayerView`.
        potential: what computes energies; CHGNet if None.

    Attributes:
        crystal: position of the one shown; set it to show another.
        frame: the frame shown, 0 to T - 1; set it to move there.
        trajectory: of the crystal shown.
        curves: its `TrajectoryCurves`.
        player: the `PlayerView`.
        figure: the plots, a `Plot`.
        marks: the `PlotMarks` over them.
        energy_control: the `EnergyControl`.
        export_control: the `ExportControl`.
        message: the line for errors.

    Raises:
        InputError: as `Source.of`, or a crystal without atoms or volume; names the culprit.
    """

    crystal = traitlets.Int(0)
    frame = traitlets.Int(0)

    def __init__(
        self,
        trajectory: Trajectory | Generation,
        *,
        crystal: int = 0,
        prior: CrystalBatch | None = None,
        refined: CrystalBatch | None = None,
        reference: CrystalBatch | None = None,
        reference_name: str = "relaxed",
        ends: tuple[str, str] = ENDS,
        energies: bool = False,
        renderer: str = "auto",
        potential: Potential | None = None,
    ) -> None:
        self.source = Source.of(
            trajectory, prior, refined, reference, reference_name, crystal, ends
        )
        self.trajectory = self.source.trajectory.crystal(crystal)
        self.curves: TrajectoryCurves = make_curves(self.trajectory)
        super().__init__()
        self.message = MessageLine()
        self.player = PlayerView(
            self.trajectory, self.source.stills(crystal), title="trajectory", renderer=renderer
        )
        self.figure = Plot(make_figure(self.curves))
        for trace in self.figure.data:
            trace.on_click(self._on_click)
        self.marks = PlotMarks()
        self.figure.as_still = self._marked
        plots = ipywidgets.Box([self.figure, self.marks], layout={"display": "block"})
        plots.add_class("flowllm-plots").add_class("flowllm-fit")
        # beside each other where there is room, see the style sheet
        about = ipywidgets.HTML(f'<div class="flowllm-caption">{PATH_IN_WORDS}</div>')
        beside = ipywidgets.Box([self.player, ipywidgets.VBox([plots, about])]).add_class(
            "flowllm-beside-plots"
        )
        room = ipywidgets.VBox([beside]).add_class("flowllm-room")
        self.status = ipywidgets.HTML()
        self.energy_control = EnergyControl(
            self.compute_energies, self._on_energy, self.message, potential
        )
        self.export_control = ExportControl(self._shown, self.message)
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # no notebook
            self._loop = None
        self.crystal = crystal
        rows = [self._choice(), self.status, room]
        controls = [self.energy_control, self.export_control, self.message]
        self.fill([*rows, *controls, Frame()])
        self.observe(self._on_crystal, "crystal")
        traitlets.link((self.player, "frame"), (self, "frame"))
        self.observe(self._on_frame, "frame")
        self._show_marks()
        if energies:
            self.compute_energies()

    @property
    def energy(self) -> EnergyCurve | None:
        """Energies of the crystal shown, as far as computed; None before."""
        return self.energy_control.curves.get(self.crystal)

    def compute_energies(self) -> None:
        """Compute the energies of the crystal shown, in the background."""
        self.energy_control.start(self.crystal, self.trajectory)

    def export(self, kind: str, folder: str = ".") -> None:
        """Write a file of the crystal shown, in the background, and offer it as a download.

        Args:
            kind: "extxyz", "cif" (of the frame shown), "html" or "gif".
            folder: made if need be.

        Raises:
            InputError: no such format, or no folder.
        """
        self.export_control.write(kind, folder)

    @traitlets.validate("crystal")
    def _valid_crystal(self, proposal: dict[str, Any]) -> int:
        check_position(proposal["value"], self.source.trajectory.num_crystals)
        return proposal["value"]

    @traitlets.validate("frame")
    def _valid_frame(self, proposal: dict[str, Any]) -> int:
        return min(max(0, proposal["value"]), len(self.trajectory) - 1)

    # ---- which crystal ---------------------------------------------------------------------

    def _choice(self) -> ipywidgets.HBox:
        """A list of the crystals, and buttons for the previous and next one."""
        labels = self.source.labels
        self.choice = ipywidgets.Dropdown(
            options=[(label, index) for index, label in enumerate(labels)], value=self.crystal,
            description="Crystal", layout={"width": "320px"}, style={"description_width": "52px"},
        )  # fmt: skip
        self.choice.observe(self._on_choice, "value")
        buttons = []
        for name, step in (("Previous", -1), ("Next", 1)):
            button = ipywidgets.Button(description=name, layout={"width": "auto"})
            button.on_click(lambda _, step=step: self._step(step))
            buttons.append(button)
        row = ipywidgets.HBox([self.choice, *buttons], layout={"align_items": "center"})
        row.layout.display = None if len(labels) > 1 else "none"
        return row

    @shows_errors
    def _step(self, step: int) -> None:
        self.crystal = (self.crystal + step) % self.source.trajectory.num_crystals

    @shows_errors
    def _on_choice(self, change: dict[str, Any]) -> None:
        self.crystal = change["new"]

    @shows_errors
    def _on_crystal(self, change: dict[str, Any]) -> None:
        self.message.clear()
        self.choice.value = change["new"]
        try:
            self._exchange(change["new"])
        except InputError:
            self.crystal = change["old"]
            raise

    def _exchange(self, crystal: int) -> None:
        trajectory = self.source.trajectory.crystal(crystal)
        curves = make_curves(trajectory)
        self.player.set_trajectory(trajectory, self.source.stills(crystal))
        if self.player.trajectory is not trajectory:  # it tells why, and keeps what it has
            raise InputError(f"{trajectory.ids[0]}: {self.player.message.text}")
        self.curves, self.trajectory = curves, trajectory
        self.energy_control.cancel()
        self.export_control.link.withdraw()
        self._show_curves(slice(None))

    # ---- which frame -----------------------------------------------------------------------

    @shows_errors
    def _on_frame(self, _: Any) -> None:
        self._show_frame()

    def _show_curves(self, which: slice) -> None:
        """Redraw some of the curves, and all axes."""
        changes = trace_changes(self.curves, self.energy)[which]
        with self.figure.batch_update():
            for trace, change in zip(self.figure.data[which], changes, strict=True):
                trace.update(change)
            self.figure.update_layout(layout_changes(self.curves, self.energy))
        self._show_marks()

    def _show_marks(self) -> None:
        self.marks.marks = make_marks(self.curves, self.energy)
        self._show_frame()

    def _show_frame(self) -> None:
        """The mark in the plots and the line of text."""
        self.marks.frame = self.frame
        text = html.escape(describe(self.trajectory, self.curves, self.frame))
        self.status.value = f'<div class="flowllm-caption">{text}</div>'

    def _marked(self) -> dict[str, Any]:
        """The plots with the browser's overlays."""
        return with_marks(plain_figure(self.figure), self.marks.marks, self.frame)

    @shows_errors
    def _on_click(self, trace: Any, points: Any, state: Any) -> None:
        if points.point_inds:
            self.player.playing = False
            self.frame = points.point_inds[0]

    # ---- energies and files ----------------------------------------------------------------

    def _on_energy(self, crystal: int) -> None:
        """Called in the thread that computes; the figure is changed in the kernel's own."""
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._show_energy, crystal)
        else:
            self._show_energy(crystal)

    @shows_errors
    def _show_energy(self, crystal: int) -> None:
        if crystal == self.crystal:
            self._show_curves(slice(ENERGY, ENERGY + 1))

    def _shown(self) -> Shown:
        polyhedra = self.player.display.player.look == "polyhedra"
        return Shown(self.trajectory, self.curves, self.energy, self.frame, polyhedra)
