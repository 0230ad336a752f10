"""The colours of charts, pages and widgets, legible on light and dark backgrounds."""

from __future__ import annotations

COLOURS = (
    "#2f7bd9", "#e08a1e", "#1d9a76", "#b0489b", "#7d6ae0", "#c2503f",
    "#1895b0", "#8f7d22", "#a0704a",
)  # fmt: skip
"""Systems beside each other, in the order in which they are given."""
REFINED, PRIOR = COLOURS[:2]
"""Of one system: its crystals after and before refinement."""
DATA = "#9aa4b5"
"""A data set behind the systems, and thresholds, in charts of a page."""
GREY = "#8a94a6"
"""Data, thresholds and text of widgets, and the edges of a cell."""
QUIET = "#5b6675"
"""Error bars."""


def see_through(colour: str, opacity: float) -> str:
    """A colour as in "#9aa4b5" with an opacity from 0 to 1, as in "rgba(154,164,181,0.25)"."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
