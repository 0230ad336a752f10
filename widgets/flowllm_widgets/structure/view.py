"""StructureView: one crystal in 3-D, exchanged as often as one likes."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel
from flowllm_widgets.structure.display import Display
from flowllm_widgets.structure.drawing import draw_still


class StructureView(Panel):
    """A crystal in 3-D with its cell and bonds.

    Args:
        crystal: a batch of one, or None for an empty view.
        caption: a line below it.
        height: of the picture, in pixels.
        renderer: "auto", "nglview", "plotly" (3-D) or "flat" (a projection, without WebGL).
        supercell: repetitions along a, b and c.

    Attributes:
        crystal: what is shown, or None.
        display: the picture; `display.player` is the part in the browser.
        message: the line for errors.

    Raises:
        InputError: no such renderer.
    """

    def __init__(
        self,
        crystal: CrystalBatch | None = None,
        caption: str = "",
        height: int = 320,
        *,
        renderer: str = "auto",
        supercell: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        self.message = MessageLine()
        self.caption = ipywidgets.HTML()
        self.display = Display(height, renderer, controls=False)
        self.supercell = supercell
        self.fill([self.display, self.caption, self.message])
        self.crystal: CrystalBatch | None = None
        self.show(crystal, caption)

    @shows_errors
    def show(self, crystal: CrystalBatch | None, caption: str = "") -> None:
        """Show another crystal, a batch of one; None shows nothing."""
        self.message.clear()
        self.crystal = crystal
        self.caption.value = f'<div class="flowllm-caption">{html.escape(caption)}</div>'
        pictures = {}
        try:
            if crystal is not None:
                pictures = {"": draw_still(crystal, self.supercell)}
        finally:
            self.display.show(pictures)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and for a page without widgets a still of it."""
        return super()._repr_mimebundle_(**kwargs) | {"image/svg+xml": self.display.svg()}
