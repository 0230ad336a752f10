"""Positions of the elements in the periodic table, and their frequencies in crystals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError

NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)
"""Atomic numbers of the noble gases, each the last of its period; 0 stands before the first."""
COLUMNS = 18
SERIES_ROWS = (9, 10)
"""Rows of lanthanides and actinides, below the others and a gap."""

DECADES = 3
"""That the scale of colours spans; rarer elements have its lowest colour."""


def place_of(number: int) -> tuple[int, int]:
    """Row and column of an element, from 1 on, in the form with 18 columns.

    Lanthanum and actinium stand at the beginning of their series, two rows below the table, of 15
    elements each.
    """
    period = next(at for at, last in enumerate(NOBLE) if number <= last)
    step, length = number - NOBLE[period - 1], NOBLE[period] - NOBLE[period - 1]
    if period >= 6 and 3 <= step <= 17:
        return SERIES_ROWS[period - 6], step
    if step <= 2 and number != 2:
        return period, step
    return period, COLUMNS - length + step


def places() -> list[dict[str, int | str]]:
    """All elements by atomic number: symbol, number, row and column, as the page takes them."""
    found: list[dict[str, int | str]] = []
    for number, symbol in enumerate(SYMBOLS):
        if number:
            row, column = place_of(number)
            found.append({"symbol": symbol, "number": number, "row": row, "column": column})
    return found


def frequencies(crystals: CrystalBatch) -> dict[str, float]:
    """The share of crystals that contain each element, without absent elements.

    Args:
        crystals: B crystals; atoms of open species do not count.

    Raises:
        InputError: there are no crystals.
    """
    if not len(crystals):
        raise InputError("there are no crystals whose elements could be counted")
    holds = np.zeros((len(crystals), len(SYMBOLS)), dtype=bool)
    holds[crystals.crystal_of_atom, crystals.atomic_numbers] = True
    counts = holds.sum(0)
    return {SYMBOLS[n]: float(counts[n] / len(crystals)) for n in np.flatnonzero(counts) if n}


def log_scale(shares: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """The ends of a logarithmic scale for all shares.

    The upper one is 1, 2 or 5 times a power of ten; the lower one a power of ten, at most `DECADES`
    below, so that the rarest elements do not take the colours from all others.
    """
    values = [value for one in shares for value in one.values() if value > 0]
    if not values:
        return 0.001, 1.0
    top = 10.0 ** math.floor(math.log10(max(values)) + 1e-9)
    high = next(top * step for step in (1, 2, 5, 10) if top * step >= max(values) * (1 - 1e-9))
    least = math.floor(math.log10(min(values)) + 1e-9)
    most = math.ceil(math.log10(high) - 1e-9)
    return 10.0 ** min(most - 1, max(least, most - DECADES)), high


def checked_elements(symbols: Sequence[str]) -> tuple[str, ...]:
    """Symbols of elements, each once, by atomic number.

    Raises:
        InputError: names one that is not an element.
    """
    for symbol in symbols:
        if symbol not in NUMBER_OF:
            raise InputError(f"{symbol!r} is not an element")
    return tuple(sorted(set(symbols), key=NUMBER_OF.__getitem__))
