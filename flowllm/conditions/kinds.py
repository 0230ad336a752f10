"""Kinds of condition: names, unit, sentence, and how values are read, written and checked.

A condition is written down once, as a field of `flowllm.conditions.conditions.Conditions` with one
of these beside it; prompts, commands, ranges, adherence and forms are made of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from flowllm.conditions.grammar import ISOTOPES
from flowllm.crystals.elements import NUMBER_OF, RANK_OF
from flowllm.errors import InputError

LARGEST = 1_000_000
"""Of any energy in eV/atom or gap in eV."""
_COMPOSITION = re.compile(r"[A-Z][a-z]?\d+( [A-Z][a-z]?\d+)*")


@dataclass(frozen=True)
class ConditionKind:
    """One kind of condition.

    Attributes:
        title: as in a sentence of English, "band gap".
        sentence: how its sentence in a prompt begins; the value and a full stop follow.
        about: help for whoever asks for it, units included.
        example: a value as a person would type it.
        share: how often training prompts state it, where it is known, 0 to 1.
        unit: of its values; empty for one without.
        number: whether its values are numbers with a unit of their own or a count, of which a
            range in training can be told.
        measured: whether a data set holds it as a column of its own, not as part of the crystal.
        read: a value as a person types it -> the value; raises InputError.
        parse: a value as a prompt's sentence has it -> the value; raises ValueError.
        write: the value -> as the sentence has it.
        check: raises InputError for a value out of its range.
    """

    title: str
    sentence: str
    about: str
    example: str
    share: float
    unit: str = ""
    number: bool = False
    measured: bool = False
    read: Callable[[str], Any] = str
    parse: Callable[[str], Any] = str
    write: Callable[[Any], str] = str
    check: Callable[[Any], None] = lambda value: None

    @property
    def label(self) -> str:
        """The title with its unit, for a form, as in "Band gap (eV)"."""
        title = self.title[0].upper() + self.title[1:]
        return f"{title} ({self.unit})" if self.unit else title


def whole(text: str) -> int:
    """A whole number as typed by a user.

    Raises:
        InputError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{text!r} is not a whole number") from None


def real(text: str) -> float:
    """A number as typed by a user.

    Raises:
        InputError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is not a number") from None


def two_decimals(value: float) -> str:
    """As in "-1.50"; never "-0.00"."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def finite(name: str) -> Callable[[float], None]:
    """A check that a value is finite and within a physical range."""

    def check(value: float) -> None:
        if not math.isfinite(value):
            raise InputError(f"{name} must be finite, not {value}")
        if abs(value) > LARGEST:
            raise InputError(f"{name} must be within ±{LARGEST:,}, not {value:g}")

    return check


def between(title: str, low: int, high: int) -> Callable[[int], None]:
    """A check that a whole number lies in a range, ends included."""

    def check(value: int) -> None:
        if not low <= value <= high:
            raise InputError(f"{title} must be from {low} to {high}, not {value}")

    return check


def positive(title: str) -> Callable[[int], None]:
    """A check that a whole number is at least 1."""

    def check(value: int) -> None:
        if value < 1:
            raise InputError(f"{title} must be at least 1, not {value}")

    return check


def check_elements(elements: tuple[str, ...]) -> None:
    """Refuse unknown elements and an empty list."""
    _check_symbols(elements)
    if not elements:
        raise InputError("the list of elements is empty")


def check_composition(composition: dict[str, int]) -> None:
    """Refuse unknown elements, counts that are not whole, and cells of no atoms."""
    _check_symbols(tuple(composition))
    for symbol, count in composition.items():
        if not isinstance(count, Integral) and not (
            isinstance(count, Real) and math.isfinite(count) and count == int(count)
        ):
            raise InputError(f"composition: expected a whole number of {symbol} atoms, got {count}")
        if count < 1:
            raise InputError(f"composition: expected at least 1 atom of {symbol}, got {count}")
    if not composition:
        raise InputError("the composition has no atoms")


def written_elements(elements: tuple[str, ...]) -> str:
    """As in "Sr, Ti, O", in the order of the text."""
    return ", ".join(sorted(elements, key=RANK_OF.__getitem__))


def written_composition(composition: dict[str, int]) -> str:
    """As in "Sr1 Ti1 O3", in the order of the text."""
    return " ".join(f"{s}{composition[s]}" for s in sorted(composition, key=RANK_OF.__getitem__))


def parsed_composition(text: str) -> dict[str, int]:
    """The composition that `written_composition` wrote.

    Raises:
        ValueError: it is another text.
    """
    pairs = re.findall(r"([A-Z][a-z]?)(\d+)", text)
    if not _COMPOSITION.fullmatch(text) or len(dict(pairs)) < len(pairs):
        raise ValueError(text)
    return {symbol: int(count) for symbol, count in pairs}


def parsed_elements(text: str) -> tuple[str, ...]:
    """The elements that `written_elements` wrote."""
    return tuple(text.split(", "))


def _check_symbols(symbols: tuple[str, ...]) -> None:
    for symbol in symbols:
        if symbol not in NUMBER_OF:
            hint = f"; {ISOTOPES[symbol]} is written as H" if symbol in ISOTOPES else ""
            raise InputError(f"unknown element {symbol!r}{hint}")
