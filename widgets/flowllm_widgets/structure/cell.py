"""The checkbox that switches between the given and the conventional cell."""

from __future__ import annotations

import ipywidgets
import numpy as np

NAME = "Conventional cell"


def cell_box() -> ipywidgets.Checkbox:
    """The box; hidden until `offer_cell` finds another cell to change to."""
    return ipywidgets.Checkbox(
        description=NAME, indent=False, layout={"width": "auto", "display": "none"}
    )


def offer_cell(box: ipywidgets.Checkbox, axes: np.ndarray | None) -> None:
    """Show the box if there is a conventional cell that differs.

    Args:
        box: of `cell_box`.
        axes: (3, 3), what `conventional_axes` gave, or None.
    """
    box.layout.display = "none" if axes is None else None
    if axes is not None:
        times = round(float(np.linalg.det(axes)))
        box.description = NAME if times == 1 else f"{NAME} ({times} times as large)"
