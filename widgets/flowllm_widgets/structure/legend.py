"""The elements of a picture and their colours, as a line of text."""

from __future__ import annotations

import html
from collections.abc import Iterable

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.viz.structure3d import colour


def legend(numbers: Iterable[int]) -> str:
    """HTML: a dot in its colour and the symbol of each element, by atomic number; X is open."""
    items = (
        f'<span style="white-space:nowrap"><span aria-hidden="true" style="{_dot(number)}"></span>'
        f"{html.escape(SYMBOLS[number])}</span>"
        for number in np.unique(np.fromiter(numbers, dtype=np.int64)).tolist()
    )
    return f'<div class="flowllm-legend" style="{_LINE}">{"".join(items)}</div>'


_LINE = "display:flex;flex-wrap:wrap;gap:2px 12px;line-height:1.6"


def _dot(number: int) -> str:
    return (
        "display:inline-block;width:0.75em;height:0.75em;border-radius:50%;margin-right:4px;"
        f"border:1px solid rgba(138,148,166,0.8);background:{colour(number)}"
    )
