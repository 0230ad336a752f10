"""Entries of a hull: tables of formulas and formation energies, and formulas as compositions."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError, first_line
from flowllm.runs.reading import open_regular

HULL_FILE = "hull/mp_hull_entries.csv.gz"
FORMULA = re.compile(r"(?:[A-Z][a-z]?(?:[1-9]\d*)?)+")
PART = re.compile(r"([A-Z][a-z]?)(\d*)")
Composition = tuple[tuple[str, float], ...]
"""((element, atomic fraction), ...) in alphabetical order; equal for equal compositions."""


def csv_rows(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file (or .csv.gz), each by the names of the columns.

    Raises:
        OSError: it cannot be read, or is not a file.
        ValueError: it is not UTF-8 text.
    """
    with open_regular(path) as content:
        if not str(path).endswith(".gz"):
            return list(csv.DictReader(io.TextIOWrapper(content, encoding="utf-8", newline="")))
        with gzip.open(content, "rt", encoding="utf-8", newline="") as text:
            return list(csv.DictReader(text))


def read_formation_energies(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Formulas and (E,) formation energies in eV/atom of a CSV file (or .csv.gz).

    Its columns are formula (or pretty_formula) and formation_energy_per_atom. "NaN" is a formula,
    sodium nitride.

    Raises:
        InputError: the file is missing or is no such table.
    """
    try:
        rows = csv_rows(path)
        column = "formula" if rows and "formula" in rows[0] else "pretty_formula"
        energies = [float(row["formation_energy_per_atom"]) for row in rows]
        return [row[column] for row in rows], np.array(energies)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise InputError(
            f"{path} is not a table of formulas and formation energies: {error}"
        ) from error


def composition_key(amounts: Mapping[str, float]) -> Composition:
    """A hashable key of a composition.

    Args:
        amounts: element -> amount, in any unit.

    Raises:
        InputError: no element, or one that does not exist.
    """
    return tuple(sorted(fractions(amounts).items()))


@lru_cache(maxsize=65536)
def _parsed(formula: str) -> tuple[tuple[str, float], ...]:
    if FORMULA.fullmatch(formula):  # most are as plain as this, and pymatgen takes 20 times as long
        plain: dict[str, float] = {}
        for element, amount in PART.findall(formula):
            plain[element] = plain.get(element, 0.0) + float(amount or 1)
        return tuple(plain.items())
    import pymatgen.core.composition as pymatgen

    try:
        if len(formula.split()) != 1:  # pymatgen reads over spaces
            raise ValueError("it is empty or holds spaces")
        return tuple(pymatgen.Composition(formula).get_el_amt_dict().items())
    except Exception as error:  # pymatgen raises several kinds on a bad formula
        raise InputError(f"{formula!r} is not a chemical formula: {first_line(error)}") from error


def parse_formula(formula: str) -> dict[str, float]:
    """Element -> amount of a formula with parentheses, as in "Nd(Al2Cu)4".

    Raises:
        InputError: it is not a formula, or names an element that does not exist.
    """
    amounts = dict(_parsed(formula.strip()))
    for element in amounts:
        if element not in NUMBER_OF:
            raise InputError(f"{formula}: {element} is not an element")
    return amounts


def fractions(composition: Mapping[str, float]) -> dict[str, float]:
    """Atomic fractions, rounded so that equal compositions are equal."""
    total = float(sum(composition.values()))
    if not composition or total <= 0 or min(composition.values()) < 0:
        raise InputError(f"no composition: {dict(composition)}")
    unknown = [element for element in composition if element not in NUMBER_OF]
    if unknown:
        raise InputError(f"{unknown[0]} is not an element")
    return {e: round(n / total, 12) for e, n in composition.items() if n > 0}
