"""Hermann-Mauguin symbols of the space groups, from spglib's table of settings."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import spglib


def symbol_of(number: int) -> str:
    """The short Hermann-Mauguin symbol of a space group, as in "Fm-3m"."""
    return short_symbols()[number]


def typeset_symbol(number: int) -> str:
    """The same for display, with subscript screw axes as in "P6₃/mmc"; "" for 0, no group."""
    return _typeset()[number] if number else ""


@cache
def _typeset() -> dict[int, str]:
    lowered = str.maketrans("123456789", "₁₂₃₄₅₆₇₈₉")
    return {
        number: re.sub(r"_(\d)", lambda axis: axis[1].translate(lowered), symbol)
        for number, symbol in _underscored().items()
    }


@cache
def short_symbols() -> dict[int, str]:
    """Number -> short symbol, of the 230 groups in their usual setting."""
    return {number: symbol.replace("_", "") for number, symbol in _underscored().items()}


def _underscored() -> dict[int, str]:
    """Number -> short symbol with screw axes as in "P6_3/mmc"."""
    first = {kind.number: kind for kind in reversed(settings())}
    return {n: first[n].international_short for n in range(1, 231)}


def settings() -> list[Any]:
    """The 530 settings of spglib's table."""
    return [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]
