"""Crystals of several systems with their properties, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet
from flowllm.errors import InputError
from flowllm.evaluation import Report
from flowllm.viz.facts import group_in_words
from flowllm_widgets.browser.catalogue import read_catalogue

if TYPE_CHECKING:
    import pandas as pd

Source = Report | CrystalSet | CrystalBatch | str | Path
MAX_SYSTEMS = 9  # colours that can be told apart
NUMBERS = {
    "e_above_hull": "E_hull (eV/atom)",
    "density": "density (g/cm³)",
    "num_atoms": "atoms in the cell",
    "n_elements": "elements",
}
"""Columns to colour by, and what they are called."""


@dataclass(frozen=True)
class Points:
    """M crystals of S systems.

    Attributes:
        names: S names.
        system: (M,) int64, the system of each; they stand one after the other.
        crystals: the M crystals.
        rows: what is known of them: M rows with at least id, formula, density, num_atoms and
            n_elements.
        sizes: S numbers of readable crystals, of which the M were drawn.
        unreadable: S numbers of inputs that could not be read.
    """

    names: tuple[str, ...]
    system: np.ndarray
    crystals: CrystalBatch
    rows: pd.DataFrame
    sizes: tuple[int, ...]
    unreadable: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.system)

    def members(self, system: int) -> np.ndarray:
        """The positions of one system's crystals."""
        return np.flatnonzero(self.system == system)

    def number(self, column: str) -> np.ndarray:
        """(M,) float64: a column of numbers; NaN where there is no value."""
        if column not in self.rows:
            return np.full(len(self), np.nan)
        values = self.rows[column].to_numpy(dtype=float, na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan)

    def label(self, place: int) -> str:
        """As in "SrTiO3 · MP-20 · mp-5229"; no two are the same."""
        return f"{self.name(place)} · {self.rows['id'].iloc[place]}"

    def name(self, place: int) -> str:
        """As in "SrTiO3 · MP-20"."""
        return f"{self.rows['formula'].iloc[place]} · {self.names[self.system[place]]}"

    def facts(self, place: int) -> list[str]:
        """Known facts about a crystal, a few words each."""
        row = self.rows.iloc[place]
        known = {name: row[name] for name in row.index[row.notna()]}
        atoms, elements = int(row["num_atoms"]), int(row["n_elements"])
        facts = [
            f"{atoms} atom{'s' * (atoms > 1)}, {elements} element{'s' * (elements > 1)}, "
            f"{row['density']:.2f} g/cm³"
        ]
        if "e_above_hull" in known:
            facts.insert(0, f"E_hull {known['e_above_hull']:.3f} eV/atom")
        if known.get("space_group", 0) > 0:
            facts.append(f"space group {group_in_words(int(known['space_group']))}")
        for name, words in (
            ("valid_structure", ("structure not valid", "structure valid")),
            ("valid_composition", ("composition not valid", "composition valid")),
            ("novel", ("not novel", "novel")),
            ("sun", ("", "S.U.N.")),
        ):
            if name in known and words[bool(known[name])]:
                facts.append(words[bool(known[name])])
        return facts


def read_points(systems: Mapping[str, Source], limit: int | None, seed: int) -> Points:
    """The crystals of several systems, at most `limit` of each, drawn at random.

    Args:
        systems: {name: a `Report`, a `CrystalSet`, a batch, or a folder or file of crystals}.
        limit: crystals of each system; None for all.
        seed: of the draw; which are drawn from one system does not depend on the others.

    Raises:
        InputError: no system or more than nine, one without crystals, or one that cannot be read.
    """
    import pandas as pd

    if not isinstance(systems, Mapping) or not systems:
        raise InputError('give the systems by name, as in EmbeddingMap({"FlowLLM": crystals})')
    if len(systems) > MAX_SYSTEMS:
        raise InputError(f"{len(systems)} systems, but colours for only {MAX_SYSTEMS}")
    if limit is not None and limit < 1:
        raise InputError(f"limit_per_system must be at least 1, not {limit}")
    crystals, tables, sizes, unreadable = [], [], [], []
    for name, source in systems.items():
        batch, rows, missing = _read(source)
        if not len(batch):
            raise InputError(f"{name} contains no crystals")
        chosen: np.ndarray = np.arange(len(batch))
        if limit is not None and limit < len(batch):
            chosen = np.sort(np.random.default_rng(seed).permutation(len(batch))[:limit])
        crystals.append(batch[chosen])
        tables.append(rows.iloc[chosen].astype(object))
        sizes.append(len(batch))
        unreadable.append(missing)
    rows = pd.concat(tables, ignore_index=True)
    system = np.repeat(np.arange(len(crystals)), [len(batch) for batch in crystals])
    names = tuple(str(name) for name in systems)
    joined = CrystalBatch.concatenate(crystals)
    return Points(names, system, joined, rows, tuple(sizes), tuple(unreadable))


def _read(source: Source) -> tuple[CrystalBatch, pd.DataFrame, int]:
    """The readable crystals, a row for each, and how many could not be read."""
    import pandas as pd

    known = source.properties if isinstance(source, CrystalSet) else {}
    given = source.crystals if isinstance(source, CrystalSet) else source
    if isinstance(given, CrystalBatch) and not len(given):
        return given, pd.DataFrame(), 0
    catalogue = read_catalogue(given)
    there = catalogue.place >= 0
    rows = catalogue.rows[there].reset_index(drop=True)
    for name, values in known.items():
        rows[name] = np.where(values > 0, values, np.nan) if name == "space_group" else values
    return catalogue.crystals[catalogue.place[there]], rows, int((~there).sum())
