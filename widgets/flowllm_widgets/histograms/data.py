"""Histogram data of several systems, as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.stages import FLAGS, STAGE_OF
from flowllm.metrics.statistics import Estimate, estimate
from flowllm.stability import is_stable
from flowllm.stability.grouping import first_of_each
from flowllm.viz.bins import BINS, WHOLE

if TYPE_CHECKING:
    import pandas as pd

    from flowllm.evaluation import Report

COUNT_OF_STABLE = "stable (< 0)"
MAX_SYSTEMS = 6  # colours that can be told apart


@dataclass(frozen=True)
class System:
    """The R rows of one system in the bins of a column.

    Attributes:
        name: of the system; no other has the same.
        column: the column.
        rows: R rows.
        crystals: those that could be read.
        values: (R,) float64, NaN where a row has no value.
        bins: (R,) int64, the bin of each value; -1 where there is none.
        asked: rows that a value was wanted of, at least those with one: the denominator of rates.
        place: of the report among those given; it decides the colour.
    """

    name: str
    column: str
    rows: pd.DataFrame
    crystals: CrystalBatch
    values: np.ndarray
    bins: np.ndarray
    asked: int
    place: int = 0

    @property
    def known(self) -> int:
        """Rows with a value."""
        return int(np.isfinite(self.values).sum())

    def flag(self, name: str) -> np.ndarray:
        """(R,) bool: a flag is true; false where it is not known."""
        if name not in self.rows:
            return np.zeros(len(self.rows), dtype=bool)
        return (self.rows[name] == True).fillna(False).to_numpy(dtype=bool)  # noqa: E712

    def number(self, name: str) -> np.ndarray:
        """(R,) float64: a column of numbers; NaN where there is none."""
        if name not in self.rows:
            return np.full(len(self.rows), np.nan)
        return self.rows[name].to_numpy(dtype=float, na_value=np.nan)

    def in_bin(self, at: int, kept: np.ndarray | None = None) -> np.ndarray:
        """The positions of the rows in a bin, by value; of the kept (R,) bool only."""
        chosen = self.bins == at if kept is None else (self.bins == at) & kept
        places = np.flatnonzero(chosen)
        return places[np.argsort(self.values[places], kind="stable")]

    def counts(self, kept: np.ndarray | None = None) -> np.ndarray:
        """(bins,) int64: rows in each bin; of the kept (R,) bool only."""
        bins = self.bins if kept is None else self.bins[kept]
        return np.bincount(bins[bins >= 0], minlength=len(BINS[self.column]) - 1)

    def crystal(self, row: int) -> CrystalBatch | None:
        """The crystal of a row, as it was given."""
        found = np.flatnonzero(self.crystals.ids == str(self.rows["id"].iloc[row]))
        return self.crystals[int(found[0])] if len(found) else None


@dataclass(frozen=True)
class Below:
    """Counts of one system below a threshold, as in `flowllm.stability.sun`.

    Attributes:
        share: of all that a value was wanted of.
        count: crystals below.
        unique: groups of equal crystals among them; None where uniqueness is not known.
        novel: how many of them match nothing known; None where that is not known.
        sun: groups with a crystal that is below and novel; None where that is not known.
    """

    share: Estimate
    count: int
    unique: int | None
    novel: int | None
    sun: int | None


def systems_of(reports: Sequence[Report], column: str) -> list[System]:
    """The reports that have a column, in its bins.

    Raises:
        InputError: no report, more than six, or none that has the column.
    """
    if not reports:
        raise InputError("no report to show")
    if len(reports) > MAX_SYSTEMS:
        raise InputError(f"{len(reports)} reports, but colours for only {MAX_SYSTEMS}")
    names = _distinct([report.name for report in reports])
    found = []
    for place, (name, report) in enumerate(zip(names, reports, strict=True)):
        rows = report.rows.reset_index(drop=True)
        if column not in rows:
            continue
        values = rows[column].to_numpy(dtype=float, na_value=np.nan)
        values = np.where(np.isfinite(values), values, np.nan)
        known = int(np.isfinite(values).sum())
        if known:
            asked = _asked(report) if column == "e_above_hull" else len(rows)
            bins = bins_of(column, values)
            found.append(
                System(name, column, rows, report.crystals, values, bins, max(asked, known), place)
            )
    if not found:
        stage = STAGE_OF.get(column, "")
        raise InputError(
            f"no report has values of {column}: run the stage {stage}, as in "
            f"flowllm evaluate … --only {stage}"
        )
    return found


def left_out(reports: Sequence[Report], systems: Sequence[System]) -> str:
    """Which reports have no values of the column, in words; empty if all have."""
    shown = {system.place for system in systems}
    names = [report.name for place, report in enumerate(reports) if place not in shown]
    if not names:
        return ""
    column = systems[0].column
    stage = STAGE_OF.get(column, "")
    return f"Left out: {', '.join(names)}, without {column} (the stage {stage} did not run)."


def bins_of(column: str, values: np.ndarray) -> np.ndarray:
    """(n,) int64: the bin of each value; beyond an end the outermost; -1 where it is NaN."""
    edges = BINS[column]
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return np.where(np.isfinite(values), bins, -1).astype(np.int64)


def bin_text(column: str, at: int) -> str:
    """The range of a bin, in words; the outermost ones are open-ended."""
    edges = BINS[column]
    low, high = edges[at], edges[at + 1]
    last = at == len(edges) - 2
    if column in WHOLE:
        whole = f"{(low + high) / 2:.0f}"
        return f"{whole} or more" if last else whole
    if at == 0:
        return f"below {high:g}, also below {low:g}"
    return f"{low:g} and above, also above {high:g}" if last else f"{low:g} to {high:g}"


def below(system: System, threshold: float) -> Below:
    """Counts of a system below an E_hull threshold, in eV/atom.

    Equal to the evaluation's own figures at its thresholds: at 0 or less a crystal must hold two
    elements, and of a group of equal crystals at most one counts as S.U.N.
    """
    stable = is_stable(system.values, system.number("n_elements"), threshold)
    rate = estimate(np.concatenate([stable[stable], np.zeros(system.asked - stable.sum(), bool)]))
    groups = groups_of(system) if _known(system, "unique_relaxed") else None
    novel = system.flag("novel_relaxed") if _known(system, "novel_relaxed") else None
    return Below(
        rate,
        int(stable.sum()),
        None if groups is None else int(first_of_each(groups, stable).sum()),
        None if novel is None else int((stable & novel).sum()),
        None
        if groups is None or novel is None
        else int(first_of_each(groups, stable & novel).sum()),
    )


def groups_of(system: System) -> np.ndarray:
    """(R,) int64: equal relaxed crystals have the same number; -1 if unknown.

    A table keeps of each group only which crystal is its first. Another belongs to the first of the
    same formula whose energy is nearest: equal structures have equal energies.
    """
    rows, energy = system.rows, system.values
    unique = system.flag("unique_relaxed")
    again = np.isfinite(energy) & ~unique & rows["unique_relaxed"].notna().to_numpy()
    groups = np.where(unique, np.arange(len(rows)), -1)
    formulas = rows["formula"].to_numpy(dtype=str)
    for place in np.flatnonzero(again):
        firsts = np.flatnonzero(unique & (formulas == formulas[place]))
        if len(firsts):
            groups[place] = firsts[np.argmin(np.abs(energy[firsts] - energy[place]))]
    return groups


def flags_of(systems: Sequence[System]) -> list[str]:
    """The flags that at least one system has, in their usual order."""
    return [flag for flag in FLAGS if any(_known(system, flag) for system in systems)]


def _known(system: System, flag: str) -> bool:
    return flag in system.rows and bool(system.rows[flag].notna().any())


def _asked(report: Report) -> int:
    """How many crystals an evaluation set out to relax; failures count in its rates."""
    return next((int(m.n) for m in report if m.name == COUNT_OF_STABLE and math.isfinite(m.n)), 0)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names; a repeated one with its number."""
    return [
        f"{name} ({list(names[:at]).count(name) + 1})" if name in names[:at] else name
        for at, name in enumerate(names)
    ]
