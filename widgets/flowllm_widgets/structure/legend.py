"""The elements of a picture and their colours, as a line of text."""

from __future__ import annotations

import html
from collections.abc import Iterable

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.element_colours import MOST, element_colours, shown_species

__all__ = ["MOST", "legend", "species_shown"]


def species_shown(trajectory: Trajectory) -> np.ndarray:
    """Atomic numbers for a legend: of all frames, or of first and last where those are too many."""
    return shown_species(trajectory.atomic_numbers)


def legend(numbers: Iterable[int], passing: int = 0) -> str:
    """HTML: a dot in its colour and the symbol of each element, by atomic number; X is open.

    Args:
        numbers: atomic numbers of all that is seen together.
        passing: how many others occur on the way, which are counted only.
    """
    species = np.unique(np.fromiter(numbers, dtype=np.int64)).tolist()
    colours = element_colours(species)
    items = (
        f'<span style="white-space:nowrap"><span aria-hidden="true" '
        f'style="{_dot(colours[number])}"></span>{html.escape(SYMBOLS[number])}</span>'
        for number in species
    )
    more = f"<span>and {passing} more along the path</span>" if passing else ""
    return f'<div class="flowllm-legend" style="{_LINE}">{"".join(items)}{more}</div>'


_LINE = "display:flex;flex-wrap:wrap;gap:2px 12px;line-height:1.6"


def _dot(tint: str) -> str:
    return (
        "display:inline-block;width:0.75em;height:0.75em;border-radius:50%;margin-right:4px;"
        f"border:1px solid rgba(138,148,166,0.8);background:{tint}"
    )
