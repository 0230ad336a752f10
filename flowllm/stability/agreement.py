"""Agreement of a hull with true heights, and with energies above another hull."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.data.hull_entries import csv_rows, parse_formula
from flowllm.errors import InputError
from flowllm.stability.hull_table import HullTable

HEIGHTS_FILE = "hull/hull_heights_2023-02-07.csv.gz"
NEAR = 1e-3  # eV/atom


def read_heights(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Formulas and (R,) heights of a hull in eV/atom: a table with hull_energy_per_atom.

    Raises:
        InputError: the file is missing or is no such table.
    """
    try:
        rows = csv_rows(path)
        heights = [float(row["hull_energy_per_atom"]) for row in rows]
        return [row["formula"] for row in rows], np.array(heights)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a table of heights of a hull: {error}") from error


def height_agreement(
    hull: HullTable, formulas: Sequence[str], heights: Sequence[float] | np.ndarray
) -> dict[str, Any]:
    """Agreement of a hull with the true heights of another.

    Args:
        hull: ours.
        formulas: R formulas.
        heights: (R,) the true hull at each, in eV/atom.

    Returns:
        n; mean_absolute_error and median_absolute_error in eV/atom; largest (its formula),
        largest_error and mean_without_largest in eV/atom; within_1_meV, within_5_meV,
        within_25_meV, too_high and too_low (by over 1 meV) as shares of the n. A crystal whose true
        distance to the hull exceeds the error is on the right side of it.

    Raises:
        InputError: numbers differ, or there are none.
    """
    true = np.asarray(heights, dtype=np.float64)
    if len(true) != len(formulas) or not len(true):
        raise InputError(f"{len(formulas)} formulas and {len(true)} heights of a hull")
    ours = np.array([hull.hull.hull_energy(parse_formula(formula)) for formula in formulas])
    signed = ours - true
    errors = np.abs(signed)
    worst = int(errors.argmax())
    return {
        "n": len(true),
        "mean_absolute_error": float(errors.mean()),
        "median_absolute_error": float(np.median(errors)),
        "largest": formulas[worst],
        "largest_error": float(errors[worst]),
        "mean_without_largest": float(np.delete(errors, worst).mean()) if len(true) > 1 else 0.0,
        "within_1_meV": float((errors < NEAR).mean()),
        "within_5_meV": float((errors < 5 * NEAR).mean()),
        "within_25_meV": float((errors < 25 * NEAR).mean()),
        "too_high": float((signed > NEAR).mean()),
        "too_low": float((signed < -NEAR).mean()),
    }


def hull_agreement(
    hull: HullTable,
    formulas: Sequence[str],
    formation_energies: Sequence[float] | np.ndarray,
    mp_e_above_hull: Sequence[float] | np.ndarray,
    on_hull: float = 1e-6,
) -> dict[str, float]:
    """Agreement of a hull with the Materials Project's own energies above its hull.

    Both count what is known as on the hull or above it, so ours is cut at 0 here. Rows without both
    energies are left out.

    Args:
        hull: ours.
        formulas: R formulas.
        formation_energies: (R,) the Materials Project's, in eV/atom.
        mp_e_above_hull: (R,) its energies above its hull in eV/atom.
        on_hull: eV/atom up to which a crystal counts as on the hull.

    Returns:
        n, mean_absolute_error and median_absolute_error in eV/atom, and as shares of the n rows:
        stable (agree on whether the crystal is on the hull), below_0.08 and below_0.1 (agree on
        those), not_above (ours is not larger, as must be for a hull of fewer compounds built on the
        same energies).

    Raises:
        InputError: numbers differ, or no row has both energies.
    """
    ours = np.asarray(formation_energies, dtype=np.float64)
    theirs = np.asarray(mp_e_above_hull, dtype=np.float64)
    if not len(ours) == len(theirs) == len(formulas):
        raise InputError(
            f"{len(formulas)} formulas, {len(ours)} formation energies and {len(theirs)} "
            "energies above the hull"
        )
    rows = np.flatnonzero(np.isfinite(ours) & np.isfinite(theirs))
    if not len(rows):
        raise InputError("no row has a formation energy and an energy above the hull")
    found = [hull.hull.e_above_hull(parse_formula(formulas[int(i)]), ours[i]) for i in rows]
    mine, known = np.array(found), theirs[rows]
    errors = np.abs(mine - known)
    return {
        "n": len(rows),
        "mean_absolute_error": float(errors.mean()),
        "median_absolute_error": float(np.median(errors)),
        "stable": float(((mine <= on_hull) == (known <= on_hull)).mean()),
        "below_0.08": float(((mine < 0.08) == (known < 0.08)).mean()),
        "below_0.1": float(((mine < 0.1) == (known < 0.1)).mean()),
        "not_above": float((mine <= known + 1e-4).mean()),
    }
