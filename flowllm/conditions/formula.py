"""Formulas, unit cells and lists of elements as people write them, by `grammar`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from flowllm.conditions.grammar import ISOTOPES, Formula, FormulaError, parse
from flowllm.conditions.hints import explained, other_case, parses
from flowllm.conditions.remarks import remark, shown
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError


def read_formula(formula: str) -> dict[str, int]:
    """The reduced composition of a formula, as {"Sr": 1, "Ti": 1, "O": 3}.

    Raises:
        InputError: it is not a formula; what was probably meant is named.
    """
    atoms = _parsed(formula).atoms
    divisor = math.gcd(*atoms.values())
    return {symbol: count // divisor for symbol, count in atoms.items()}


def reduced_formula(formula: str) -> str:
    """A formula by pymatgen's convention, as the prompts of the training data have it.

    Raises:
        InputError: it cannot be read.

    Warns:
        RemarkWarning: isotopes are read as their element, or the atoms are divided.
    """
    from pymatgen.core.composition import Composition

    found = _parsed(formula)
    reduced = str(Composition(found.atoms).reduced_formula)
    _remark_isotopes(found.isotopes)
    if sum(found.atoms.values()) > sum(parse(reduced).atoms.values()):
        size = sum(read_formula(reduced).values())
        cells = ", ".join(str(size * factor) for factor in (1, 2, 3))
        remark(
            f"the formula {formula.strip()} is reduced to {reduced}: cells have {cells}, … atoms; "
            "a composition, or a number of atoms, fixes how many"
        )
    return reduced


def multiple_remark(formula: str, max_atoms: int) -> str:
    """A remark that a formula as usually written is a multiple, as H2O2 of HO; else "".

    Args:
        formula: as `reduced_formula` gives it, or a prompt has it.
        max_atoms: the most atoms of a cell of the system.
    """
    try:
        found = _parsed(formula)
        cells = multiples_of(formula, max_atoms)
    except InputError:
        return ""
    texts = [_isotope_remark(found.isotopes)] if found.isotopes else []
    if math.gcd(*found.atoms.values()) > 1:
        unit = "".join(s + (str(n) if n > 1 else "") for s, n in cells[0].items())
        sizes = [str(sum(cell.values())) for cell in cells]
        listed = sizes if len(sizes) < 4 else [*sizes[:2], "…", sizes[-1]]
        texts.append(
            f"the formula {formula} is {unit} reduced: cells have {', '.join(listed)} atoms"
        )
    return "; ".join(texts)


def too_large(what: str, max_atoms: int) -> str:
    """The message that something exceeds the cells of a data set; names the option to raise it."""
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
        raise InputError(too_large(f"formula {shown(formula)} has {size} atoms", max_atoms))
    return tuple(
        {symbol: count * factor for symbol, count in unit.items()}
        for factor in range(1, max_atoms // size + 1)
    )


def read_elements(text: str) -> tuple[str, ...]:
    """The elements of a list such as "Li,Fe,O", "Li Fe O" or "Li-Fe-O", each once.

    Raises:
        InputError: an unknown element, or none.

    Warns:
        RemarkWarning: an isotope is read as its element, or an element comes twice.
    """
    if len(text) > 10 * len(NUMBER_OF):
        raise InputError(f"{shown(text)} is not a list of elements; write it as Li,Fe,O")
    words = [word for word in re.split(r"[\s,;-]+", text) if word]
    if not words:
        raise InputError("the list of elements is empty")
    for word in words:
        if word not in NUMBER_OF and word not in ISOTOPES:
            raise InputError(f"unknown element {shown(word)}{_element_hint(word)}")
    _remark_isotopes([word for word in words if word in ISOTOPES])
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        remark(f"the list of elements holds {', '.join(twice)} twice; once is enough")
    return tuple(dict.fromkeys("H" if word in ISOTOPES else word for word in words))


def read_composition(text: str) -> dict[str, int]:
    """The atoms of a whole cell, as {"Sr": 1, "Ti": 1, "O": 3} of "Sr1 Ti1 O3" or "SrTiO3".

    Raises:
        InputError: it cannot be read, or an element comes twice between blanks.

    Warns:
        RemarkWarning: an isotope is read as its element.
    """
    try:
        found = parse(text, cell=True)
    except FormulaError as error:
        why = str(error) if "twice" in str(error) else explained(text, error)
        raise InputError(
            f"{shown(text)} is not a unit cell: {why}; write it as Sr1 Ti1 O3"
        ) from None
    _remark_isotopes(found.isotopes)
    return found.atoms


def whole_composition(counts: Mapping[Any, Any]) -> dict[str, int]:
    """A composition given as a mapping, isotopes added to their element.

    Raises:
        InputError: a count is not a whole number of at least 1.

    Warns:
        RemarkWarning: an isotope is read as its element.
    """
    found: dict[str, int] = {}
    for key, count in counts.items():
        symbol = str(key)
        whole = isinstance(count, Real) and not isinstance(count, bool) and count == count // 1
        if not whole:
            raise InputError(f"composition: expected a whole number of {symbol} atoms, got {count}")
        element = "H" if symbol in ISOTOPES else symbol
        found[element] = found.get(element, 0) + int(count)
    _remark_isotopes([symbol for symbol in map(str, counts) if symbol in ISOTOPES])
    return found


def _parsed(formula: str) -> Formula:
    if not formula.strip():
        raise InputError("the formula is empty")
    try:
        return parse(formula)
    except FormulaError as error:
        raise InputError(
            f"formula {shown(formula)} cannot be read: {explained(formula, error)}"
        ) from None


def _element_hint(word: str) -> str:
    """What was probably meant by a word in a list of elements."""
    if parses(word):
        symbols = dict.fromkeys(parse(word).atoms)
        return f"; did you mean {','.join(symbols)}?"
    likely = [other for other in other_case(word) if other in NUMBER_OF]
    return f"; did you mean {likely[0]}?" if likely else ""


def _remark_isotopes(symbols: Sequence[str]) -> None:
    if symbols:
        remark(_isotope_remark(symbols))


def _isotope_remark(symbols: Sequence[str]) -> str:
    names = " and ".join(f"{s} ({ISOTOPES[s]})" for s in dict.fromkeys(symbols))
    return f"{names} is read as H"
