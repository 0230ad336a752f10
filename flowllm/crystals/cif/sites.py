"""The loop of atom sites: every row is a site or the block is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from flowllm.crystals.cif.cell import Cell
from flowllm.crystals.cif.species import elements_of
from flowllm.crystals.cif.tags import SITE_TAGS, Tags
from flowllm.crystals.cif.values import DEFAULT, is_null, number, plain, shown
from flowllm.errors import InputError

MAX_ATOMS = 20_000  # of a cell; sites times operations are counted before they are applied
LARGEST = 1e6  # of coordinates; larger ones are broken numbers
DUMMY = "dum"  # value of _atom_site_calc_flag for sites that are not atoms
OCCUPANCY = "_atom_site_occupancy"
CALCULATED = "_atom_site_calc_flag"
ATTACHED = "_atom_site_attached_hydrogens"
MULTIPLICITIES = (
    "_atom_site_symmetry_multiplicity",
    "_atom_site_site_symmetry_multiplicity",
)


@dataclass
class SiteTable:
    """The s sites of a block.

    Attributes:
        labels: s labels.
        elements: s symbols.
        coords: (s, 3) fractional coordinates as written.
        written: (s, 3) their texts.
        occupancies: s values as written; empty where all are 1.
        multiplicities: s values of the file, None where it gives none.
        disorder: s pairs of disorder assembly and group as written; empty where there are none.
        unclear: labels whose element is taken from the formula, which must count all sites then.
        remarks: on isotopes and dummies.
    """

    labels: list[str]
    elements: list[str]
    coords: np.ndarray
    written: list[Sequence[str]]
    occupancies: list[str]
    multiplicities: list[int | None]
    disorder: list[tuple[str, str]] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_sites(tags: Tags, cell: Cell, formula: frozenset[str] | None) -> SiteTable:
    """The sites of a block.

    Raises:
        InputError: there are none, or too many; a coordinate is unknown or no number; an element
            cannot be told; atoms are said to be there without coordinates. The label is named.
    """
    axes = SITE_TAGS[:3] if SITE_TAGS[0] in tags else SITE_TAGS[3:]
    size = max(map(tags.count, axes))
    if not size:
        raise InputError("the CIF cannot be parsed (no atom sites)")
    if size > MAX_ATOMS:
        raise InputError(f"{size} atom sites; at most {MAX_ATOMS} are read")
    table = {
        tag: tags.column(tag) or [""] * size
        for tag in (*axes, "_atom_site_label", "_atom_site_type_symbol")
    }
    for tag, values in table.items():
        if len(values) != size:
            raise InputError(f"{tag} has {len(values)} values for {size} sites")
        if tag in axes and tag not in tags:
            raise InputError(f"the CIF cannot be parsed ({tag} is missing)")
    for tag in (OCCUPANCY, CALCULATED, ATTACHED):
        if tags.count(tag) not in (0, size):
            raise InputError(f"{tag} has {tags.count(tag)} values for {size} sites")
    kinds, names = table["_atom_site_type_symbol"], table["_atom_site_label"]
    remarks: list[str] = []
    kept = _without_dummies(tags, names, size, remarks)
    columns = [table[axis] for axis in axes]
    if len(kept) < size:
        kinds, names = [kinds[row] for row in kept], [names[row] for row in kept]
        columns = [[column[row] for row in kept] for column in columns]
    unclear: list[str] = []
    elements = elements_of(kinds, names, formula, remarks, unclear)
    labels = list(map(shown, names))
    if not all(labels):
        labels = [
            label or f"{element}{row + 1}"
            for row, label, element in zip(kept, labels, elements, strict=True)
        ]
    written: list[Sequence[str]] = list(zip(*columns, strict=True))
    coords = _coordinates(columns, written, labels)
    if axes[0] == SITE_TAGS[3]:
        coords = _fractional(coords, cell, remarks)
    _refuse_attached(tags, labels, kept)
    occupancies = _chosen(tags.column(OCCUPANCY), kept, size)
    counted = next((tags.column(tag) for tag in MULTIPLICITIES if tag in tags), ())
    multiplicities = [_multiplicity(x) for x in _chosen(counted, kept, size)]
    return SiteTable(
        labels, elements, coords, written, occupancies, multiplicities,
        _disorder(tags, kept, size), unclear, remarks,
    )  # fmt: skip


def _disorder(tags: Tags, rows: list[int], size: int) -> list[tuple[str, str]]:
    groups = _chosen(tags.column("_atom_site_disorder_group"), rows, size)
    assemblies = _chosen(tags.column("_atom_site_disorder_assembly"), rows, size)
    return list(zip(assemblies or [DEFAULT] * len(groups), groups, strict=True))


@lru_cache(maxsize=1024)
def _multiplicity(raw: str) -> int | None:
    return int(raw) if raw.isdecimal() and len(raw) < 5 else None


def _without_dummies(tags: Tags, names: Sequence[str], size: int, remarks: list[str]) -> list[int]:
    """Rows that are atoms; dummies are left out, with a remark."""
    flags = [flag.lower() for flag in tags.column(CALCULATED)]
    if DUMMY not in flags:
        return list(range(size))
    rows = [row for row in range(size) if flags[row] != DUMMY]
    left = [shown(names[row]) for row in range(size) if flags[row] == DUMMY]
    remarks.append(f"{_listed(left)} marked as dummy and left out")
    if not rows:
        raise InputError("every atom site is marked as dummy")
    return rows


def _listed(names: list[str]) -> str:
    shown_names = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"{shown_names} {'is' if len(names) == 1 else 'are'}"


def _chosen(values: Sequence[str], rows: list[int], size: int) -> list[str]:
    if len(values) != size:
        return []
    return list(values) if len(rows) == size else [values[row] for row in rows]


def _coordinates(
    columns: Sequence[Sequence[str]], written: list[Sequence[str]], labels: list[str]
) -> np.ndarray:
    """(s, 3) coordinates; those with standard uncertainties are parsed one by one."""
    if "_" not in "".join(map("".join, columns)):
        try:
            flat = [float(raw) for place in written for raw in place]
        except ValueError:
            pass
        else:
            coords = np.array(flat).reshape(-1, 3)
            if np.vdot(coords, coords) < LARGEST:  # not where one is NaN
                return coords
    return np.array([_place(row, label) for row, label in zip(written, labels, strict=True)])


def _place(written: Sequence[str], label: str) -> list[float]:
    result = []
    for axis, raw in zip("xyz", written, strict=True):
        value = number(raw)
        if value is None:
            if is_null(raw):
                raise InputError(f"site {label}: the coordinate {axis} is unknown ('{raw}')")
            raise InputError(
                f"the CIF cannot be parsed (site {label}: coordinate {axis} is '{shown(raw)}')"
            )
        if not abs(value) < LARGEST:
            raise InputError(f"site {label}: coordinate {axis} is {value:g}")
        result.append(value)
    return result


def _fractional(coords: np.ndarray, cell: Cell, remarks: list[str]) -> np.ndarray:
    """Cartesian coordinates by the cell; only for right angles, else their axes are unknown."""
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
    counts = tags.column(ATTACHED)
    if not counts:
        return
    for label, row in zip(labels, rows, strict=True):
        raw = plain(counts[row]) if row < len(counts) else DEFAULT
        if not is_null(raw) and (number(raw) or 0) > 0:
            raise InputError(f"site {label}: {shown(raw)} attached hydrogens without coordinates")
