"""Text formats by name; other packages add theirs by `register_format`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from flowllm.errors import InputError
from flowllm.text.formats.base import TextFormat

DEFAULT_FORMAT = "gruver"
DEFAULT_MAX_ATOMS = 20
FORMATS: dict[str, str | Callable[[int], TextFormat]] = {
    "gruver": "flowllm.text.formats.gruver.text_format:GruverText",
    "wyckoff": "flowllm.text.formats.wyckoff.text_format:WyckoffText",
}
"""Name -> "module:Class" of a format, or the class itself."""


def register_format(name: str, place: str | Callable[[int], TextFormat]) -> None:
    """Register a text format under its name.

    Args:
        name: as in "gruver".
        place: the class, or "module:Class".

    Raises:
        InputError: another class has the name.
    """
    if FORMATS.get(name, place) != place:
        raise InputError(f"the text format {name!r} is already registered")
    FORMATS[name] = place


def make_format(name: str = DEFAULT_FORMAT, max_atoms: int = DEFAULT_MAX_ATOMS) -> TextFormat:
    """A text format for cells of limited size.

    Raises:
        InputError: there is none of this name, or fewer than one atom.
    """
    if name not in FORMATS:
        raise InputError(f"unknown text format {name!r}; choose from {', '.join(FORMATS)}")
    if max_atoms < 1:
        raise InputError(f"max_atoms must be at least 1, not {max_atoms}")
    place = FORMATS[name]
    if not isinstance(place, str):
        return place(max_atoms)
    module, _, kind = place.partition(":")
    try:
        return cast(TextFormat, getattr(importlib.import_module(module), kind)(max_atoms))
    except (ImportError, AttributeError) as error:
        raise InputError(f"{place} cannot be imported: {error}") from error
