"""The choice of the initial system of a widget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowllm.errors import InputError

USUAL = "flowllm-symmetric"
"""The recipe of the default model."""


def first_system(systems: Mapping[str, Any], start: str | None = None) -> str:
    """The initial system: the requested one, else the default model, else the first.

    Raises:
        InputError: no such system.
    """
    names = list(systems)
    first = start or (USUAL if USUAL in names else names[0])
    if first not in names:
        raise InputError(f"unknown system {first!r}; choose from {', '.join(names)}")
    return first
