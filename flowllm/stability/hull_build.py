"""Build a hull table from formation energies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm.data.hull import FormationEnergyHull
from flowllm.data.hull_entries import HULL_FILE, parse_formula, read_formation_energies
from flowllm.stability.agreement import HEIGHTS_FILE, height_agreement, read_heights
from flowllm.stability.hull_table import HullProvenance, HullTable
from flowllm.stability.reference_energies import REFERENCE_FILE, ElementalReferences

ON_HULL = 1e-8  # eV/atom: what is this near the hull stays; none lies between 1e-10 and 1e-7


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
