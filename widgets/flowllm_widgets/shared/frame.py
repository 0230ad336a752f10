"""The page features that a widget needs."""

from __future__ import annotations

from pathlib import Path

from flowllm_widgets.shared.part import Part


class Frame(Part):
    """An invisible part of a `Panel` that looks after keys and the width of plots.

    Inside the panel, arrow keys and letters reach its controls instead of JupyterLab's shortcuts.
    Plots inside boxes of the class `flowllm-fit` follow the width of their box.
    """

    _esm = Path(__file__).parent / "frame.js"
