"""The loop of atom sites: every row is a site or the block is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flowllm.crystals.cif.cell import Cell
from flowllm.crystals.cif.species import element_of
from flowllm.crystals.cif.tags import SITE_TAGS, Tags
from flowllm.crystals.cif.values import DEFAULT, is_null, number, plain, resolution, shown
from flowllm.errors import InputError

MAX_ATOMS = 20_000  # of a cell; sites times operations are counted before they are applied
DUMMY = "dum"  # value of _atom_site_calc_flag for sites that are no atoms
MULTIPLICITIES = (
    "_atom_site_symmetry_multiplicity",
    "_atom_site_site_symmetry_multiplicity",
)


@dataclass
class Sites:
    """The s sites of a block.

    Attributes:
        labels: s labels.
        elements: s symbols.
        coords: (s, 3) fractional coordinates as written.
        written: (s, 3) their texts.
        occupancies: s values as written; empty where all are 1.
        multiplicities: s values of the file, None where it gives none.
        remarks: on isotopes and dummies.
    """

    labels: list[str]
    elements: list[str]
    coords: np.ndarray
    written: list[Sequence[str]]
    occupancies: list[str]
    multiplicities: list[int | None]
    remarks: list[str] = field(default_factory=list)


def read_sites(tags: Tags, cell: Cell, formula: frozenset[str] | None) -> Sites:
    """The sites of a block.

    Raises:
        InputError: there are none, or too many; a coordinate is unknown or no number; an element
            cannot be told; atoms are said to be there without coordinates. The label is named.
    """
    axes = SITE_TAGS[:3] if SITE_TAGS[0] in tags else SITE_TAGS[3:]
    size = max(tags.count(tag) for tag in axes)
    if not size:
        raise InputError("the CIF does not parse (no atom sites)")
    if size > MAX_ATOMS:
        raise InputError(f"{size} atom sites; at most {MAX_ATOMS} are read")
    table = {
        tag: list(tags.column(tag)) or [""] * size
        for tag in (*axes, "_atom_site_label", "_atom_site_type_symbol")
    }
    for tag, values in table.items():
        if len(values) != size:
            raise InputError(f"{tag} has {len(values)} values for {size} sites")
        if tag in axes and tag not in tags:
            raise InputError(f"the CIF does not parse ({tag} is missing)")
    kinds, names = table["_atom_site_type_symbol"], table["_atom_site_label"]
    remarks: list[str] = []
    kept = _without_dummies(tags, names, size, remarks)
    elements, labels = [], []
    for row in kept:
        element, remark = element_of(kinds[row], names[row], formula)
        elements.append(element)
        labels.append(shown(names[row]) if names[row] else f"{element}{row + 1}")
        if remark:
            remarks.append(remark)
    columns = [table[axis] for axis in axes]
    written = [[column[row] for column in columns] for row in kept]
    coords = np.array([_coordinates(w, x) for w, x in zip(written, labels, strict=True)])
    if axes is not SITE_TAGS[:3] and axes[0] == SITE_TAGS[3]:
        coords = _fractional(coords, cell, remarks)
    _refuse_attached(tags, labels, kept)
    occupancies = _chosen(tags.column("_atom_site_occupancy"), kept, size)
    counted = next((tags.column(tag) for tag in MULTIPLICITIES if tag in tags), ())
    multiplicities = [
        int(x) if x.isdecimal() and len(x) < 5 else None for x in _chosen(counted, kept, size)
    ]
    return Sites(labels, elements, coords, written, occupancies, multiplicities, remarks)


def _without_dummies(tags: Tags, names: list[str], size: int, remarks: list[str]) -> list[int]:
    """Rows that are atoms; dummies are left out, which is said."""
    flags = [flag.lower() for flag in tags.column("_atom_site_calc_flag")]
    rows = [row for row in range(size) if row >= len(flags) or flags[row] != DUMMY]
    if len(rows) < size:
        left = [
            shown(names[row]) for row in range(size) if row < len(flags) and flags[row] == DUMMY
        ]
        remarks.append(f"{_listed(left)} marked as dummy and left out")
    if not rows:
        raise InputError("every atom site is marked as dummy")
    return rows


def _listed(names: list[str]) -> str:
    shown_names = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"{shown_names} {'is' if len(names) == 1 else 'are'}"


def _chosen(values: Sequence[str], rows: list[int], size: int) -> list[str]:
    return [values[row] for row in rows] if len(values) == size else []


def _coordinates(written: Sequence[str], label: str) -> list[float]:
    result = []
    for axis, raw in zip("xyz", written, strict=True):
        value = number(raw)
        if value is None:
            if is_null(raw):
                raise InputError(f"site {label}: the coordinate {axis} is unknown ('{raw}')")
            raise InputError(
                f"the CIF does not parse (site {label}: coordinate {axis} is '{shown(raw)}')"
            )
        if not abs(value) < 1e6:
            raise InputError(f"site {label}: coordinate {axis} is {value:g}")
        result.append(value)
    return result


def _fractional(coords: np.ndarray, cell: Cell, remarks: list[str]) -> np.ndarray:
    """Cartesian coordinates by the cell; in other than right angles their axes are not known."""
    if any(abs(angle - 90) > 1e-6 for angle in cell.angles):
        raise InputError(
            "no fractional coordinates (Cartesian ones are read in right-angled cells only)"
        )
    remarks.append(
        "only Cartesian coordinates are given; their axes are taken as those of the cell"
    )
    fractional: np.ndarray = coords / np.array(cell.lengths)
    return fractional


def _refuse_attached(tags: Tags, labels: list[str], rows: list[int]) -> None:
    counts = tags.column("_atom_site_attached_hydrogens")
    for label, row in zip(labels, rows, strict=True):
        raw = plain(counts[row]) if row < len(counts) else DEFAULT
        if not is_null(raw) and (number(raw) or 0) > 0:
            raise InputError(f"site {label}: {shown(raw)} attached hydrogens without coordinates")
