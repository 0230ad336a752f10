"""Elements of sites, read strictly: from the type symbol, else from the label, never guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from flowllm.crystals.cif.values import is_null, plain, shown
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError

_CHARGE = re.compile(r"([A-Za-z]{1,2})(?:\d*\.?\d*[+-]|[+-]\d+\.?\d*|[+-]{2,4}|0)?", re.ASCII)
_LABEL = re.compile(r"([A-Za-z]+)(?:[^A-Za-z].*)?", re.ASCII | re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]+", re.ASCII)
_GROUPS = re.compile(r"[HD][23]O\d*|N2O\d?|C2H\d?", re.ASCII | re.IGNORECASE)  # no labels
_ISOTOPES = {"D": "deuterium", "T": "tritium"}


def elements_of(
    type_symbols: Sequence[str],
    labels: Sequence[str],
    formula: frozenset[str] | None,
    remarks: list[str],
    unclear: list[str],
) -> list[str]:
    """The elements of sites.

    Args:
        type_symbols: values of `_atom_site_type_symbol` as written, "" where the file has none.
        labels: values of `_atom_site_label` as written, "" where the file has none.
        formula: elements of `_chemical_formula_sum`; decides what letters of one case mean.
        remarks: gets one for each isotope of hydrogen that is read as H.
        unclear: gets each label such as `AlT1` or `OA2`, of an element and something else. Its
            element is one of the formula's, with which all atoms are to be compared later.

    Raises:
        InputError: a site is of no element; its label and type symbol are named.
    """
    read = list(map(_read, type_symbols, labels))
    symbols = [symbol for symbol, _ in read]
    if all(certain for _, certain in read):
        return symbols
    for row, (symbol, certain) in enumerate(read):
        if certain:
            continue
        kind, label = type_symbols[row], labels[row]
        element = symbol.capitalize()
        known = element in (formula or ()) or symbol.upper() in _ISOTOPES
        if formula and not known and not _has_type(kind, label):
            symbols[row] = _begins_with(plain(label), formula)
            if symbols[row]:
                unclear.append(label)
                continue
        if not symbol:
            raise InputError(_refusal(kind, label))
        if element in _ISOTOPES:
            remarks.append(f"{shown(label or kind)} is {_ISOTOPES[element]}, read as H")
            element = "H"
        elif len(symbol) == 2 and (
            element not in formula if formula else _doubtful(symbol, _has_type(kind, label))
        ):
            raise InputError(_refusal(kind, label))
        symbols[row] = element
    return symbols


def _has_type(type_symbol: str, label: str) -> bool:
    return not is_null(type_symbol) and type_symbol != label


@lru_cache(maxsize=8192)
def _read(type_symbol: str, label: str) -> tuple[str, bool]:
    """The letters of an element, "" if there is none, and whether they are surely its symbol.

    Labels are letters and then no letter, such as `Ho1`, `Fe1A`, `O1'`, `C(2)`.
    """
    if _has_type(type_symbol, label):
        found = _CHARGE.fullmatch(plain(type_symbol))
    else:
        found = None if _GROUPS.fullmatch(plain(label)) else _LABEL.fullmatch(plain(label))
    letters = found[1] if found else ""
    symbol = letters.capitalize()
    if len(letters) > 2 or (symbol not in NUMBER_OF and symbol not in _ISOTOPES):
        return "", False
    return letters, letters == symbol and symbol not in _ISOTOPES


def read_labels(unclear: list[str], agreed: bool) -> list[str]:
    """A remark on labels whose element follows only from the formula.

    Args:
        unclear: these labels.
        agreed: whether the formula counts all atoms of the cell.

    Raises:
        InputError: it does not, so that it tells nothing.
    """
    if not unclear:
        return []
    if not agreed:
        raise InputError(_refusal("", unclear[0]))
    names = ", ".join(map(shown, unclear[:4]))
    more = f" and {len(unclear) - 4} more" if len(unclear) > 4 else ""
    return [f"elements of {names}{more} are the first letters of the labels, as the formula says"]


def _begins_with(label: str, formula: frozenset[str]) -> str:
    """The one element of the formula with which a label begins; "" where it may be two or none."""
    letters = _LETTERS.match(label)
    if letters is None or _GROUPS.fullmatch(label):
        return ""
    two = letters[0][:2]
    if two in NUMBER_OF and len(two) == 2:
        return two if two in formula else ""
    found = {symbol for symbol in (two[0].upper(), two.capitalize()) if symbol in formula}
    return found.pop() if len(found) == 1 else ""


def _doubtful(letters: str, of_type: bool) -> bool:
    """Whether two letters of one case may be two elements, or in a label one and something else."""
    first, second = letters[0].upper(), letters[1].upper()
    return first in NUMBER_OF and (not of_type or second in NUMBER_OF or second == "D")


def _refusal(type_symbol: str, label: str) -> str:
    hint = "; write the element as _atom_site_type_symbol"
    if is_null(type_symbol) or type_symbol == label:
        if is_null(label):
            return "a site has neither label nor type symbol"
        return f"site {shown(label)}: the label does not name an element{hint}"
    name = shown(label) if not is_null(label) else "of the loop"
    return f"site {name}: {shown(type_symbol)} is not an element (_atom_site_type_symbol)"
