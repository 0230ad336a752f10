"""Hermann-Mauguin symbols of the space groups, as spglib's table of settings has them."""

from __future__ import annotations

from functools import cache
from typing import Any

import spglib


def symbol_of(number: int) -> str:
    """The short Hermann-Mauguin symbol of a space group, as in "Fm-3m"."""
    return short_symbols()[number]


@cache
def short_symbols() -> dict[int, str]:
    """Number -> short symbol, of the 230 groups in their usual setting."""
    first = {kind.number: kind for kind in reversed(settings())}
    return {n: first[n].international_short.replace("_", "") for n in range(1, 231)}


def settings() -> list[Any]:
    """The 530 settings of spglib's table."""
    return [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]
