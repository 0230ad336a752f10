"""Elements of sites, read strictly: from the type symbol, else from the label, never guessed."""

from __future__ import annotations

import re
from functools import lru_cache

from flowllm.crystals.cif.values import is_null, plain, shown
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError

_CHARGE = re.compile(r"([A-Za-z]{1,2})(?:\d*\.?\d*[+-]|[+-]\d+\.?\d*|0)?", re.ASCII)
_LABEL = re.compile(r"([A-Za-z]+)(?:[^A-Za-z].*)?", re.ASCII | re.DOTALL)
_GROUPS = re.compile(r"[HDT]\d?O\d?|[HD]O\d*|[NPSCB]H\d|N2O|O[HD]\d*", re.ASCII | re.IGNORECASE)
_ISOTOPES = {"D": "deuterium", "T": "tritium"}


@lru_cache(maxsize=8192)
def element_of(
    type_symbol: str, label: str, formula: frozenset[str] | None
) -> tuple[str, str | None]:
    """The element of a site.

    Args:
        type_symbol: value of `_atom_site_type_symbol` as written, "" where the file has none.
        label: value of `_atom_site_label` as written, "" where the file has none.
        formula: elements of `_chemical_formula_sum`; decides what letters of one case mean.

    Returns:
        The symbol, and a remark where an isotope of hydrogen is read as H.

    Raises:
        InputError: it is no element; label and type symbol are named.
    """
    written = plain(type_symbol)
    if not is_null(type_symbol) and type_symbol != label:
        found = _CHARGE.fullmatch(written)
        symbol = _symbol(found[1], formula, of_type=True) if found else None
    else:
        written = plain(label)
        symbol = _of_label(written, formula)
    if symbol is None:
        raise InputError(_refusal(type_symbol, label))
    if symbol in _ISOTOPES:
        return "H", f"{shown(label or type_symbol)} is {_ISOTOPES[symbol]}, read as H"
    return symbol, None


def _of_label(label: str, formula: frozenset[str] | None) -> str | None:
    """The element of labels such as `Ho1`, `Fe1A`, `O1'`, `C(2)`: letters, then no letter."""
    found = _LABEL.fullmatch(label)
    if not found or _GROUPS.fullmatch(label):
        return None
    return _symbol(found[1], formula, of_type=False)


def _symbol(letters: str, formula: frozenset[str] | None, of_type: bool) -> str | None:
    """The element of one or two letters; None where there is none or where two are possible."""
    symbol = letters.capitalize()
    if len(letters) > 2 or (symbol not in NUMBER_OF and symbol not in _ISOTOPES):
        return None
    if len(letters) == 1 or letters == symbol:
        return symbol
    # `HO`, `CO`, `SI` of one case may be one element or two.
    if formula is not None:
        return symbol if symbol in formula else None
    first, second = letters[0].upper(), letters[1].upper()
    doubtful = first in NUMBER_OF and (not of_type or second in NUMBER_OF or second == "D")
    return None if doubtful else symbol


def _refusal(type_symbol: str, label: str) -> str:
    hint = "; write the element as _atom_site_type_symbol"
    if is_null(type_symbol) or type_symbol == label:
        if is_null(label):
            return "a site has neither label nor type symbol"
        return f"site {shown(label)}: the label names no element{hint}"
    name = shown(label) if not is_null(label) else "of the loop"
    return f"site {name}: the type symbol '{shown(type_symbol)}' is no element"
