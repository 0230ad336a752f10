"""The elements of a picture and their colours, as a line of text."""

from __future__ import annotations

import html
from collections.abc import Iterable

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.structure3d import colour

MOST = 16
"""Elements of a legend; a diffusion of species passes through half of the periodic table."""


def species_shown(trajectory: Trajectory) -> np.ndarray:
    """Atomic numbers for a legend: of all frames, or of first and last where those are too many."""
    every = np.unique(trajectory.atomic_numbers)
    return every if len(every) <= MOST else np.unique(trajectory.atomic_numbers[[0, -1]])


def legend(numbers: Iterable[int], passing: int = 0) -> str:
    """HTML: a dot in its colour and the symbol of each element, by atomic number; X is open.

    Args:
        numbers: of the elements.
        passing: how many others occur on the way, which are counted only.
    """
    items = (
        f'<span style="white-space:nowrap"><span aria-hidden="true" style="{_dot(number)}"></span>'
        f"{html.escape(SYMBOLS[number])}</span>"
        for number in np.unique(np.fromiter(numbers, dtype=np.int64)).tolist()
    )
    more = f"<span>and {passing} more on the way</span>" if passing else ""
    return f'<div class="flowllm-legend" style="{_LINE}">{"".join(items)}{more}</div>'


_LINE = "display:flex;flex-wrap:wrap;gap:2px 12px;line-height:1.6"


def _dot(number: int) -> str:
    return (
        "display:inline-block;width:0.75em;height:0.75em;border-radius:50%;margin-right:4px;"
        f"border:1px solid rgba(138,148,166,0.8);background:{colour(number)}"
    )
