"""Formulas as people write them: read, checked, and multiplied up to a full cell."""

from __future__ import annotations

import math
import re

from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError, first_line


def read_formula(formula: str) -> dict[str, int]:
    """The reduced composition of a formula, as {"Sr": 1, "Ti": 1, "O": 3}.

    Raises:
        InputError: unknown element, a number that is not whole, or nothing at all.
    """
    from pymatgen.core.composition import Composition

    try:
        parsed = Composition(formula.strip())
    except Exception as error:  # pymatgen raises several kinds on a bad formula
        raise InputError(f"formula {formula!r} cannot be read: {first_line(error)}") from error
    amounts = {element.symbol: amount for element, amount in parsed.items()}
    for symbol, amount in amounts.items():
        if symbol not in NUMBER_OF:
            raise InputError(f"formula {formula!r}: unknown element {symbol!r}")
        if abs(amount - round(amount)) > 1e-6 or amount < 0.5:
            raise InputError(
                f"formula {formula!r}: {amount:g} atoms of {symbol} is no whole number"
            )
    if not amounts:
        raise InputError("the formula is empty")
    divisor = math.gcd(*(round(amount) for amount in amounts.values()))
    return {symbol: round(amount) // divisor for symbol, amount in amounts.items()}


def too_large(what: str, max_atoms: int) -> str:
    """That something is larger than the cells of a data set, and which option raises the limit."""
    return (
        f"{what}; a cell holds at most {max_atoms} atoms, the limit of the model's data set "
        "(--max-atoms of flowllm data)"
    )


def multiples_of(formula: str, max_atoms: int) -> tuple[dict[str, int], ...]:
    """All full-cell compositions of a reduced formula that fit in `max_atoms` atoms.

    Raises:
        InputError: one formula unit is already larger, or the formula cannot be read.
    """
    unit = read_formula(formula)
    size = sum(unit.values())
    if size > max_atoms:
        raise InputError(too_large(f"formula {formula!r} has {size} atoms", max_atoms))
    return tuple(
        {symbol: count * factor for symbol, count in unit.items()}
        for factor in range(1, max_atoms // size + 1)
    )


def read_elements(text: str) -> tuple[str, ...]:
    """The elements of a list such as "Li,Fe,O", each once.

    Raises:
        InputError: an unknown element, or none.
    """
    symbols = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not symbols:
        raise InputError("the list of elements is empty")
    for symbol in symbols:
        if symbol not in NUMBER_OF:
            raise InputError(f"unknown element {symbol!r}")
    return symbols


def read_composition(text: str) -> dict[str, int]:
    """The atoms of a whole cell, as {"Sr": 1, "Ti": 1, "O": 3} of "Sr1 Ti1 O3" or "SrTiO3".

    Raises:
        InputError: it cannot be read, or an element comes twice.
    """
    parts = re.findall(r"([A-Z][a-z]?)(\d{0,3})", text)
    whole = "".join(map("".join, parts)) == "".join(text.split())
    if not parts or not whole or len(dict(parts)) < len(parts):
        raise InputError(f"{text!r} is no unit cell; write it as Sr1 Ti1 O3")
    return {symbol: int(count or 1) for symbol, count in parts}


def reduced_formula(formula: str) -> str:
    """A formula by pymatgen's convention, as the prompts of the training data have it.

    Raises:
        InputError: it cannot be read.
    """
    from pymatgen.core.composition import Composition

    return str(Composition(read_formula(formula)).reduced_formula)
