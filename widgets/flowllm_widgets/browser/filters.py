"""User-defined filters as a mask over the rows of a catalogue."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from flowllm.conditions.formula import read_elements
from flowllm.crystals.elements import NUMBER_OF
from flowllm.evaluation.stages import FLAGS
from flowllm.viz.facts import group_in_words
from flowllm_widgets.browser.catalogue import Catalogue
from flowllm_widgets.browser.table import is_number


@dataclass(frozen=True)
class Filter:
    """Rows that meet all conditions; defaults do not filter.

    Attributes:
        text: part of the id, the formula or the elements, in any case.
        elements: all of these are in the crystal, as in "Li, O".
        flag: a column that is true, or with "not " before it false; empty where it is not known.
        column: a column of numbers.
        low: least value of it; a row without a value fails as soon as an end is set.
        high: greatest value.
        space_group: number; 0 is none found.
    """

    text: str = ""
    elements: str = ""
    flag: str = ""
    column: str = ""
    low: float = -math.inf
    high: float = math.inf
    space_group: int | None = None

    def mask(self, catalogue: Catalogue) -> np.ndarray:
        """(R,) bool: the rows that meet it.

        Raises:
            InputError: an unknown element.
        """
        rows = catalogue.rows
        kept = np.ones(len(rows), dtype=bool)
        if self.text.strip():
            wanted = self.text.strip().lower()
            found = [
                rows[name].astype(str).str.lower().str.contains(wanted, regex=False).to_numpy()
                for name in ("id", "formula", "elements")
            ]
            kept &= np.logical_or.reduce(found)
        if self.elements.strip(" ,"):
            symbols = read_elements(re.sub(r"[\s,;-]+", ",", self.elements))
            kept &= catalogue.elements[:, [NUMBER_OF[s] for s in symbols]].all(1)
        if self.flag:
            name, wished = self.flag.removeprefix("not "), not self.flag.startswith("not ")
            kept &= (rows[name] == wished).fillna(False).to_numpy(dtype=bool)
        if self.column and (math.isfinite(self.low) or math.isfinite(self.high)):
            values = rows[self.column].to_numpy(dtype=float, na_value=np.nan)
            kept &= (values >= self.low) & (values <= self.high)  # NaN is in no range
        if self.space_group is not None:
            groups = rows["space_group"].to_numpy(dtype=float, na_value=np.nan)
            kept &= groups == self.space_group
        return kept


def flags_of(catalogue: Catalogue) -> list[str]:
    """The flags that at least one row has, in their usual order."""
    rows = catalogue.rows
    return [flag for flag in FLAGS if flag in rows and rows[flag].notna().any()]


def numbers_of(catalogue: Catalogue) -> list[str]:
    """The columns of numbers that at least one row has."""
    rows = catalogue.rows
    return [
        name
        for name in rows.columns
        if name != "space_group" and is_number(rows[name]) and rows[name].notna().any()
    ]


def range_of(catalogue: Catalogue, column: str) -> tuple[float, float]:
    """The ends of a column of numbers, rounded outwards to three digits."""
    values = catalogue.rows[column].to_numpy(dtype=float, na_value=np.nan)
    values = values[np.isfinite(values)]
    return math.floor(1000 * values.min()) / 1000, math.ceil(1000 * values.max()) / 1000


def groups_of(catalogue: Catalogue) -> list[tuple[str, int]]:
    """Each space group that occurs, as ("Pm-3m (221): 13", 221)."""
    if "space_group" not in catalogue.rows:
        return []
    counts = catalogue.rows["space_group"].value_counts().sort_index()
    return [
        (f"{group_in_words(int(number))}: {count:,}", int(number))
        for number, count in counts.items()
    ]
