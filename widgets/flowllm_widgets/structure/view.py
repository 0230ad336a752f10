"""StructureView: one crystal in 3-D, replaceable at any time."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets
import traitlets

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.larger_cells import conventional_axes, in_cell
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.structure.cell import cell_box, offer_cell
from flowllm_widgets.structure.display import Display
from flowllm_widgets.structure.drawing import draw_moving


class StructureView(Panel):
    """A crystal in 3-D with its cell and bonds.

    Args:
        crystal: a batch of one, or None for an empty view.
        caption: a line below it.
        height: of the picture, in pixels.
        renderer: "auto", "nglview", "plotly" (3-D) or "flat" (a projection, without WebGL).
        supercell: repetitions along a, b and c.
        conventional: draw the conventional cell, where it differs; a box there changes it.

    Attributes:
        crystal: what is shown, or None.
        conventional: whether the conventional cell is drawn, where it differs.
        display: the picture; `display.player` is the part in the browser.
        message: the line for errors.

    Raises:
        InputError: no such renderer.
    """

    conventional = traitlets.Bool(False)

    def __init__(
        self,
        crystal: CrystalBatch | None = None,
        caption: str = "",
        height: int = 320,
        *,
        renderer: str = "auto",
        supercell: tuple[int, int, int] = (1, 1, 1),
        conventional: bool = False,
    ) -> None:
        super().__init__()
        self._cell = cell_box()
        self.conventional = conventional
        traitlets.link((self, "conventional"), (self._cell, "value"))
        self.message = MessageLine()
        self.caption = ipywidgets.HTML()
        self.display = Display(height, renderer, controls=False)
        self.supercell = supercell
        self.fill([self.display, self._cell, self.caption, self.message])
        self.crystal: CrystalBatch | None = None
        self.show(crystal, caption)
        self.observe(self._on_cell, "conventional")

    @shows_errors
    def show(self, crystal: CrystalBatch | None, caption: str = "") -> None:
        """Show another crystal, a batch of one; None shows nothing."""
        self.message.clear()
        self.crystal = crystal
        self.caption.value = f'<div class="flowllm-caption">{html.escape(caption)}</div>'
        pictures = {}
        try:
            if crystal is not None:
                way = Trajectory.from_frames([0.0], [crystal])
                pictures = {"": draw_moving(self._in_cell(way), self.supercell)}
        finally:
            self.display.show(pictures)

    def _in_cell(self, way: Trajectory) -> Trajectory:
        axes = conventional_axes(way.last)
        offer_cell(self._cell, axes)
        return way if axes is None or not self.conventional else in_cell(way, axes)

    @shows_errors
    def _on_cell(self, _: Any) -> None:
        caption = self.caption.value
        self.show(self.crystal)
        self.caption.value = caption
