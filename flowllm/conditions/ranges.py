"""The range of each condition in the training data, and warnings for values outside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.conditions.formula import read_formula
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.runs.json_object import JsonObject

if TYPE_CHECKING:
    from flowllm.data.dataset import CrystalSet

UNITS = {name: kind.unit for name, kind in KINDS.items() if kind.number}
"""The conditions whose values are numbers, and their units."""
LARGEST_CELL = 10**6  # atoms; of any data set
FEW = 10  # a space group or an element that fewer training crystals have is called rare


class OutOfRangeWarning(UserWarning):
    """A condition is outside, or at the edge of, the training data."""


@dataclass(frozen=True)
class Range:
    """The values of one condition in training, in its unit (see `UNITS`).

    Attributes:
        known: crystals whose value is known.
        min: the smallest.
        q01: 1 % quantile.
        q99: 99 % quantile.
        max: the largest.
    """

    known: int
    min: float
    q01: float
    q99: float
    max: float


@dataclass(frozen=True)
class TrainingRanges:
    """The values of each condition in a model's training data.

    Attributes:
        crystals: in the training split.
        ranges: of `num_atoms`, `formation_energy`, `e_above_hull`, `band_gap` where known.
        elements: element -> crystals that hold it.
        space_groups: space group -> {atoms in the cell: crystals}.
    """

    crystals: int
    ranges: Mapping[str, Range]
    elements: Mapping[str, int]
    space_groups: Mapping[int, Mapping[int, int]]

    @classmethod
    def of(cls, data: CrystalSet) -> TrainingRanges:
        """Of a training split."""
        columns = {"num_atoms": data.crystals.num_atoms.astype(np.float64)}
        columns |= {name: data.properties[name] for name in UNITS if name in data.properties}
        ranges = {}
        for name, values in columns.items():
            known = values[np.isfinite(values)]
            if len(known):
                ends = np.quantile(known, [0, 0.01, 0.99, 1]).round(6).tolist()
                ranges[name] = Range(len(known), *ends)
        elements = Counter(symbol for cell in data.crystals.compositions for symbol in cell)
        groups: dict[int, Counter[int]] = {}
        numbers = data.properties.get("space_group", np.full(len(data), np.nan))
        for number, atoms in zip(numbers, data.crystals.num_atoms.tolist(), strict=True):
            if np.isfinite(number) and 1 <= number <= 230:
                groups.setdefault(int(number), Counter())[atoms] += 1
        return cls(
            len(data),
            ranges,
            {symbol: elements[symbol] for symbol in sorted(elements, key=NUMBER_OF.__getitem__)},
            {group: dict(sorted(groups[group].items())) for group in sorted(groups)},
        )

    @classmethod
    def from_json(cls, value: Any) -> TrainingRanges:
        """Inverse of `to_json`.

        Raises:
            InputError: it is something else.
        """
        record = JsonObject(value, "the ranges of the training data")
        ranges, elements = record.record("ranges"), record.record("elements")
        groups = record.record("space_groups")
        unknown = [symbol for symbol in elements if symbol not in NUMBER_OF]
        if unknown:
            raise InputError(f"{elements.where}: {unknown[0][:40]!r} is not an element")
        return cls(
            record.integer("crystals", least=0),
            {name: ranges.record(name).make(Range) for name in UNITS if name in ranges},
            {symbol: elements.integer(symbol, least=0) for symbol in elements},
            {group: _counts(groups.record(str(group))) for group in _numbers_of(groups, 230)},
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "crystals": self.crystals,
            "ranges": {name: asdict(found) for name, found in self.ranges.items()},
            "elements": dict(self.elements),
            "space_groups": {
                str(group): {str(atoms): count for atoms, count in sizes.items()}
                for group, sizes in self.space_groups.items()
            },
        }

    def sizes_of(self, space_group: int, max_atoms: int) -> np.ndarray:
        """(max_atoms,) float64: how many crystals of a group have 1, 2, … atoms in the cell."""
        weights = np.zeros(max_atoms)
        for atoms, count in self.space_groups.get(space_group, {}).items():
            if 1 <= atoms <= max_atoms:
                weights[atoms - 1] = count
        return weights

    def outside(self, asked: Conditions) -> dict[str, str]:
        """{condition: a warning that its value is rare or absent in training, with the range}."""
        found = {
            name: self._about_number(name, float(getattr(asked, name)))
            for name in self.ranges
            if getattr(asked, name) is not None
        }
        for name, symbols in (
            ("formula", read_formula(asked.formula) if asked.formula else ()),
            ("composition", asked.composition or ()),
            ("elements", asked.elements or ()),
        ):
            found[name] = self._about_elements(symbols)
        if asked.space_group is not None and self.space_groups:
            found["space_group"] = self._about_group(asked.space_group)
        return {name: text for name, text in found.items() if text}

    def _about_number(self, name: str, value: float) -> str:
        seen, unit = self.ranges[name], UNITS[name] and f" {UNITS[name]}"
        digits = 0 if name == "num_atoms" else 2

        def span(low: float, high: float) -> str:
            # ends are rounded outwards, so that a value at an end is never called outside
            ends = math.floor(low * 10**digits), math.ceil(high * 10**digits)
            return " to ".join(f"{end / 10**digits:.{digits}f}" for end in ends) + unit

        asked = f"{KINDS[name].title} {value:.{digits}f}{unit}"
        middle = f"98 % of the training crystals have {span(seen.q01, seen.q99)}"
        tolerance = 0.5 * 10**-digits  # prompts round
        if not seen.min - tolerance <= value <= seen.max + tolerance:
            return (
                f"{asked} is outside the range of training, {span(seen.min, seen.max)} ({middle})"
            )
        if not seen.q01 - tolerance <= value <= seen.q99 + tolerance:
            return f"{asked} is rare in training: {middle}"
        return ""

    def _about_elements(self, symbols: Any) -> str:
        if not self.elements:
            return ""
        strange = [s for s in symbols if not self.elements.get(s)]
        if strange:
            return f"no training crystal contains {', '.join(strange)}; they have {self._kinds()}"
        rare = [f"{s} ({self.elements[s]})" for s in symbols if self.elements[s] < FEW]
        return (
            f"few of {self.crystals:,} training crystals contain {', '.join(rare)}" if rare else ""
        )

    def _about_group(self, group: int) -> str:
        count = sum(self.space_groups.get(group, {}).values())
        if count >= FEW:
            return ""
        kinds = f"{len(self.space_groups)} space groups, {min(self.space_groups)} to"
        many = f"{count or 'none'} of {self.crystals:,} training crystals"
        has = "has" if count < 2 else "have"
        return f"space group {group}: {many} {has} it; they have {kinds} {max(self.space_groups)}"

    def _kinds(self) -> str:
        """As in "85 elements, H to Pu without Ne, Po"."""
        seen = sorted(NUMBER_OF[symbol] for symbol, count in self.elements.items() if count)
        between = [SYMBOLS[n] for n in range(seen[0], seen[-1]) if n not in seen]
        without = f" without {', '.join(between)}" if between else ""
        return f"{len(seen)} elements, {SYMBOLS[seen[0]]} to {SYMBOLS[seen[-1]]}{without}"


def _numbers_of(record: JsonObject, most: int) -> list[int]:
    """The keys of an object that are whole numbers from 1, as numbers."""
    for name in record:
        if not (name.isdecimal() and name.isascii() and len(name) < 10 and 1 <= int(name) <= most):
            raise InputError(f"{record.where}: {name[:40]!r} is not a number from 1 to {most}")
    return [int(name) for name in record]


def _counts(sizes: JsonObject) -> dict[int, int]:
    """Atoms per cell -> crystals."""
    return {n: sizes.integer(str(n), least=0) for n in _numbers_of(sizes, LARGEST_CELL)}
