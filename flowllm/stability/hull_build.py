"""Build a hull table from formation energies, and compare it with true heights of the hull."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.data.hull import (
    HULL_FILE,
    FormationEnergyHull,
    csv_rows,
    parse_formula,
    read_formation_energies,
)
from flowllm.errors import InputError
from flowllm.stability.hull_table import HullProvenance, HullTable
from flowllm.stability.reference_energies import REFERENCE_FILE, ElementalReferences

ON_HULL = 1e-8  # eV/atom: what is this near the hull stays; none lies between 1e-10 and 1e-7

HEIGHTS_FILE = "hull/hull_heights_2023-02-07.csv.gz"
NEAR = 1e-3  # eV/atom

MEANING = (
    "its energies are of density functional theory, those of CHGNet lie above them by "
    "13 meV/atom on average, so E_hull by CHGNet is no bound in either direction"
)
MP_PROVENANCE = HullProvenance(
    name="hull of the Materials Project",
    source=(
        "lowest formation energy of each composition in the Materials Project (MP2020 "
        "corrections), by way of lrcfmd/HyperConvexHull and anthony-wang/CrabNet; elemental "
        "reference entries by way of Matbench Discovery (MIT)"
    ),
    date="entries of 2019 to 2024, elemental references of 2023-02-07",
    licence="CC BY 4.0, Jain et al., APL Materials 1, 011002 (2013)",
    note=MEANING,
)


def on_their_own_hull(
    formulas: Iterable[str], energies: Sequence[float] | np.ndarray
) -> tuple[list[str], np.ndarray]:
    """The entries that lie on the hull of their own chemical system; they span every hull.

    Args:
        formulas: E formulas; of equal compositions the lowest counts.
        energies: (E,) formation energies in eV/atom.

    Returns:
        Their formulas in alphabetical order, and their energies in eV/atom.

    Raises:
        InputError: a formula does not parse, numbers differ, an energy is not finite.
    """
    names = list(formulas)
    hull = FormationEnergyHull(names, energies)
    lowest: dict[str, float] = {}
    seen: dict[tuple[tuple[str, float], ...], str] = {}
    for name, energy in sorted(zip(names, map(float, energies), strict=True), key=lambda x: x[1]):
        amounts = parse_formula(name)
        atoms = sum(amounts.values())
        key = tuple(sorted((e, round(n / atoms, 12)) for e, n in amounts.items()))
        # an element is at 0 by definition, and what lies above the elements is on no hull
        if key in seen or energy >= 0:
            continue
        seen[key] = name
        if hull.distance_to_hull(amounts, energy) <= ON_HULL:
            lowest[name] = energy
    kept = sorted(lowest)
    return kept, np.array([lowest[name] for name in kept], dtype=np.float64)


def build_hull_table(data_dir: str | Path) -> HullTable:
    """The shipped table: the hull of the Materials Project's entries, from the data folder.

    Where the folder holds true heights of that hull, the agreement with them is said beside it.

    Raises:
        InputError: a file is missing or is not what it should be.
    """
    folder = Path(data_dir)
    formulas, energies = read_formation_energies(folder / HULL_FILE)
    references = ElementalReferences.from_json(folder / REFERENCE_FILE)
    names, values = on_their_own_hull(formulas, energies)
    about = replace(MP_PROVENANCE, entries=len(formulas))
    table = HullTable(np.array(names, dtype=np.str_), values, references, about)
    if not (folder / HEIGHTS_FILE).is_file():
        return table
    found = height_agreement(table, *read_heights(folder / HEIGHTS_FILE))
    text = (
        f"at {found['n']:,} compositions of generated crystals it differs from the Materials "
        f"Project's hull of 2023-02-07 by {1000 * found['mean_without_largest']:.1f} meV/atom in "
        f"the mean (without {found['largest']}, {found['largest_error']:.1f} eV/atom), by less "
        f"than 1 meV/atom at {found['within_1_meV']:.1%}"
    )
    return replace(table, provenance=replace(about, agreement=text))


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
        raise InputError(f"{path} is no table of heights of a hull: {error}") from error


def height_agreement(
    hull: HullTable, formulas: Sequence[str], heights: Sequence[float] | np.ndarray
) -> dict[str, Any]:
    """How far a hull agrees with the true heights of another.

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
    """How far a hull agrees with the Materials Project's own energies above its hull.

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
