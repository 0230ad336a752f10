"""Textbook crystals, so that everything runs without data.

Two tables lie beside this module. `textbook_prototypes.csv` holds structure types: the number of
the space group (origin choice 1, hexagonal axes where it is rhombohedral) and a position for each
orbit. `textbook_cells.csv` holds compounds: elements in the order of the prototype's letters,
lattice constants in Å and free coordinates. They are well-known values at room temperature (some
phases are stable at other temperatures only), rounded to a few thousandths of an Å, as in R. W. G.
Wyckoff, Crystal Structures; Ashcroft and Mermin, Solid State Physics; and the CRC Handbook. Made to
teach with; for research take each one's original paper.
"""

from __future__ import annotations

import csv
import hashlib
import re
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import wrap
from flowllm.data.dataset import CrystalSet
from flowllm.data.reduce import reduce_structure
from flowllm.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure

SPLITS = ("train", "val", "test")
TENTHS = "ttttttttve"  # of the crystals: eight for train, one each for val and test


def textbook_structures(split: str | None = None) -> CrystalSet:
    """About 580 known crystals of some 90 structure types, with at most 20 atoms each.

    Ids are as in "rock salt NaCl". The order is shuffled, always the same way, so that the first
    few are of many types. Compounds of one formula, such as both forms of ZnS, share a split.

    Args:
        split: "train", "val" or "test" (8, 1 and 1 tenth); None for all.

    Returns:
        Reduced crystals as from `load_dataset`, with the property `space_group` only.

    Raises:
        InputError: no such split.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"unknown split {split}; choose from {', '.join(SPLITS)}")
    known = _all_structures()
    if split is None:
        return known
    return known[np.array([_split_of(f) == split for f in known.reduced_formulas])]


# ---- from the tables to crystals -----------------------------------------------------------------


@cache
def _all_structures() -> CrystalSet:
    parts, groups = [], []
    for row in _rows("cells"):
        prototype = _prototypes()[row["prototype"]]
        structure = build(prototype, row)
        name = f"{row['prototype']} {structure.composition.reduced_formula}"
        parts.append(reduce_structure(structure, name))
        groups.append(float(prototype["space_group"]))
    known = CrystalSet(CrystalBatch.concatenate(parts), {"space_group": np.array(groups)})
    return known[np.argsort([_digest(name) for name in known.crystals.ids])]


def build(prototype: dict[str, str], row: dict[str, str]) -> Structure:
    """The conventional cell of a row of `textbook_cells.csv`, in pymatgen's words.

    Raises:
        InputError: the row lacks a free coordinate, or its elements do not fit the prototype.
    """
    from pymatgen.core import Lattice, Structure

    elements = row["elements"].split()
    free = dict(pair.split("=") for pair in row["free"].split())
    group = int(prototype["space_group"])
    a = float(row["a"])
    b, c = (float(row[name] or a) for name in "bc")
    lattice = Lattice.from_parameters(a, b, c, 90, 90, 120 if 143 <= group <= 194 else 90)
    sites = [site.split() for site in prototype["sites"].split(";")]
    if len({letter for letter, *_ in sites}) != len(elements):
        raise InputError(f"{row['prototype']} is not a structure type of {len(elements)} elements")
    symbols, coords = [], []
    for letter, *words in sites:
        orbit = _orbit(group, np.array([_coordinate(word, free) for word in words]))
        symbols += [elements["ABCD".index(letter)]] * len(orbit)
        coords.append(orbit)
    return Structure(lattice, symbols, np.concatenate(coords))


def _orbit(group: int, point: np.ndarray) -> np.ndarray:
    """(n, 3) all positions equivalent to one under the space group."""
    turns, shifts = _operations(group)
    images = wrap(turns @ point + shifts)
    gaps = images[:, None] - images[None]
    same = (np.abs(gaps - np.round(gaps)) < 1e-3).all(-1)
    return images[same.argmax(1) == np.arange(len(images))]  # the first of each


@cache
def _operations(group: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (n, 3, 3) and translations (n, 3) of a space group; pymatgen takes seconds."""
    import gemmi

    # the first of several settings in the table has origin choice 1 or hexagonal axes
    setting = next(s for s in gemmi.spacegroup_table() if s.number == group)
    operations = list(setting.operations())
    turns, shifts = (np.array([getattr(o, n) for o in operations]) for n in ("rot", "tran"))
    return turns / gemmi.Op.DEN, shifts / gemmi.Op.DEN


def _coordinate(word: str, free: dict[str, str]) -> float:
    """A coordinate as in "1/4", "x", "2x" or "x+1/2"."""
    parts = re.fullmatch(r"(?:(\d?)([a-z])\+?)?(\d(?:/\d)?)?", word)
    assert parts is not None, word
    factor, letter, constant = parts.groups()
    if letter and letter not in free:
        raise InputError(f"the coordinate {letter} is missing")
    varying = float(factor or 1) * float(free[letter]) if letter else 0.0
    return varying + float(Fraction(constant or 0))


@cache
def _prototypes() -> dict[str, dict[str, str]]:
    return {row["prototype"]: row for row in _rows("prototypes")}


def _rows(table: str) -> list[dict[str, str]]:
    text = (files("flowllm.teaching") / f"textbook_{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _split_of(formula: str) -> str:
    place = TENTHS[int(_digest(formula), 16) % 10]
    return {"t": "train", "v": "val", "e": "test"}[place]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
