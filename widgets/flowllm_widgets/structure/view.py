"""StructureView: one crystal in 3-D, exchanged as often as one likes."""

from __future__ import annotations

import html

import ipywidgets
import plotly.graph_objects as go

from flowllm.crystal import CrystalBatch
from flowllm.report.structure3d import draw, traces
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel, themed


class StructureView(Panel):
    """A crystal in 3-D with its cell and bonds.

    Args:
        crystal: a batch of one, or None for an empty view.
        caption: a line below it.
        height: of the picture, in pixels.
    """

    def __init__(
        self, crystal: CrystalBatch | None = None, caption: str = "", height: int = 320
    ) -> None:
        super().__init__()
        self.message = MessageLine()
        self.caption = ipywidgets.HTML()
        self._figure = go.FigureWidget(themed(go.Figure(), height))
        self.fill([self._figure, self.caption, self.message])
        self.crystal: CrystalBatch | None = None
        self.show(crystal, caption)

    @shows_errors
    def show(self, crystal: CrystalBatch | None, caption: str = "") -> None:
        """Show another crystal, a batch of one; None shows nothing."""
        self.message.clear()
        self.crystal = crystal
        self.caption.value = f'<div class="flowllm-caption">{html.escape(caption)}</div>'
        with self._figure.batch_update():
            self._figure.data = ()
            if crystal is not None:
                self._figure.add_traces(traces(draw(crystal)))
