"""Build a hull table from formation energies, and hold it against the Materials Project's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm.data.hull import (
    HULL_FILE,
    FormationEnergyHull,
    parse_formula,
    read_formation_energies,
)
from flowllm.errors import InputError
from flowllm.stability.hull_table import HullProvenance, HullTable
from flowllm.stability.reference_energies import REFERENCE_FILE, ElementalReferences

ON_HULL = 1e-8  # eV/atom: what is this near the hull stays; none lies between 1e-10 and 1e-7

MP_20_PROVENANCE = HullProvenance(
    name="hull of MP-20 and MPTS-52",
    source=(
        "Materials Project formation energies of the entries of MP-20 (Xie et al., ICLR 2022) and "
        "MPTS-52; elemental reference entries by way of Matbench Discovery (MIT)"
    ),
    date="elemental references of 2023-02-07",
    licence="CC BY 4.0, Jain et al., APL Materials 1, 011002 (2013)",
    note=(
        "it holds no entry with more than 20 (52 with MPTS-52) atoms, so E_hull is a lower bound"
    ),
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
    """The shipped table: the hull of all MP-20 and MPTS-52 entries, from the data folder.

    Where the folder holds MP-20's splits, the agreement with their own energies above the hull is
    measured and told of.

    Raises:
        InputError: a file is missing or is not what it should be.
    """
    folder = Path(data_dir)
    formulas, energies = read_formation_energies(folder / HULL_FILE)
    references = ElementalReferences.from_json(folder / REFERENCE_FILE)
    names, values = on_their_own_hull(formulas, energies)
    about = replace(MP_20_PROVENANCE, entries=len(formulas))
    table = HullTable(np.array(names, dtype=np.str_), values, references, about)
    if not (folder / "mp_20").is_dir():
        return table
    found = hull_agreement(table, *materials_project_energies(folder))
    text = (
        f"on {found['n']:,} rows it differs from the Materials Project's E_hull by "
        f"{found['mean_absolute_error']:.4f} eV/atom in the mean, and agrees on stable or not for "
        f"{found['stable']:.1%}"
    )
    return replace(table, provenance=replace(about, agreement=text))


def materials_project_energies(
    data_dir: str | Path,
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Formulas, formation energies and the Materials Project's own energies above its hull.

    Of all rows of MP-20 that come with both, straight from the CSV files: prepared arrays may hold
    energies that were filled in from a hull of ours.

    Raises:
        InputError: a split is missing or is no such table.
    """
    import pandas as pd

    columns = ["pretty_formula", "formation_energy_per_atom", "e_above_hull"]
    parts = []
    for split in ("train", "val", "test"):
        path = Path(data_dir) / "mp_20" / f"{split}.csv.gz"
        try:
            parts.append(pd.read_csv(path, usecols=columns).dropna())
        except FileNotFoundError as error:
            raise InputError(f"no such file: {path}") from error
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path} is no table of MP-20: {error}") from error
    table = pd.concat(parts)
    formation, above = (table[c].to_numpy(dtype=np.float64) for c in columns[1:])
    return table.pretty_formula.tolist(), formation, above


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
