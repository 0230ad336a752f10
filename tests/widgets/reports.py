"""Evaluations made by hand: textbook structures with energies that the tests choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation import Report
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.metrics.properties import density, n_elements
from flowllm.metrics.statistics import Estimate
from flowllm.viz.bins import BINS

METALS = (11, 12, 19, 20, 37, 38, 55, 56)  # Na Mg K Ca Rb Sr Cs Ba
HALIDES = (8, 9, 16, 17, 35)  # O F S Cl Br
FLAGS = ("unique_relaxed", "novel_relaxed", "valid_structure", "valid_composition", "sun")


def textbook(num: int, start: int = 0) -> CrystalBatch:
    """Rock salts (2 atoms) and, every third, perovskites (5 atoms), of changing elements."""
    crystals = []
    for index in range(start, start + num):
        metal = METALS[index % len(METALS)]
        anion = HALIDES[index // len(METALS) % len(HALIDES)]
        name = f"c{index:06d}"
        size = 3.9 + 0.02 * (index % 40)
        if index % 3 == 2:
            crystals.append(
                CrystalBatch(
                    [metal, 22, anion, anion, anion],
                    [(0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
                    [(size,) * 3], [(90, 90, 90)], [5], [name],
                )
            )  # fmt: skip
        else:
            crystals.append(
                CrystalBatch(
                    [metal, anion], [(0, 0, 0), (0.5, 0.5, 0.5)],
                    [(size,) * 3], [(60, 60, 60)], [2], [name],
                )
            )  # fmt: skip
    return CrystalBatch.concatenate(crystals)


def made_report(
    name: str,
    energies: Sequence[float] | None,
    *,
    num: int | None = None,
    asked: int | None = None,
    start: int = 0,
    **flags: Sequence[bool | None],
) -> Report:
    """A report of textbook crystals.

    Args:
        name: of the system.
        energies: E_hull in eV/atom, NaN where none was computed; None without the stage stability.
        num: crystals, without energies.
        asked: crystals that were to be relaxed; default not said.
        start: number of the first crystal.
        **flags: columns of flags, one value a crystal.
    """
    count = len(energies) if energies is not None else num or 0
    crystals = textbook(count, start)
    rows = pd.DataFrame(
        {
            "id": crystals.ids.astype(object),
            "formula": crystals.formulas,
            "readable": pd.array([True] * count, dtype="boolean"),
            "density": density(crystals),
            "n_elements": n_elements(crystals),
            "num_atoms": crystals.num_atoms,
        }
    )
    metrics = {}
    if energies is not None:
        rows["e_above_hull"] = np.asarray(energies, dtype=float)
    if asked is not None:
        below = Estimate(0.0, 0.0, 0.0, asked)
        metrics["stability"] = [Metric.of("stable (< 0)", below, SHARE)]
    for flag, values in flags.items():
        rows[flag] = pd.array(list(values), dtype="boolean")
    data = {"e_above_hull": _one_bin("e_above_hull", 0.0), "n_elements": _one_bin("n_elements", 3)}
    return Report(name, metrics, {}, rows, crystals, data, "data by hand")


def spread_report(name: str, shift: float = 0.0, num: int = 40, seed: int | None = None) -> Report:
    """Energies from -0.1 eV/atom in steps of 0.02, or drawn; every tenth crystal without one."""
    energies = shift - 0.1 + 0.02 * np.arange(num)
    if seed is not None:
        energies = shift - 0.06 + np.random.default_rng(seed).gamma(1.6, 0.08, num)
    energies[::10] = np.nan
    known = np.isfinite(energies)
    unique = [True if has else None for has in known]
    novel = [index % 2 == 0 if has else None for index, has in enumerate(known)]
    valid = [index % 5 != 0 for index in range(num)]
    return made_report(
        name, energies, unique_relaxed=unique, novel_relaxed=novel, valid_structure=[True] * num,
        valid_composition=valid,
    )  # fmt: skip


def _one_bin(column: str, value: float) -> list[float]:
    edges = BINS[column]
    return ((edges[:-1] <= value) & (value < edges[1:])).astype(float).tolist()
