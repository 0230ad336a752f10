"""The current frame of a viewer, drawn over its plots in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import traitlets

from flowllm_widgets.shared.part import Part

HERE = Path(__file__).parent
SCRIPT = HERE / "marks.js"
"""Defines `PlotMarks(layer, plot)`, for any page with a plotly figure."""
MODULES = (SCRIPT, HERE / "marks_widget.js")


class PlotMarks(Part):
    """Lines, dots and titles over the plotly figure beside it in a box of class `flowllm-plots`.

    Moving the frame sends one number; the browser draws the newest only, so nothing can queue up.

    Attributes:
        marks: what `figure.make_marks` gives.
        frame: the frame that is marked.
    """

    _esm = (SCRIPT, HERE / "marks_widget.js")
    _css = HERE / "marks.css"

    marks: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
