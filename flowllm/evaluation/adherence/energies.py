"""Energies of generated crystals comparable to the conditions: CHGNet, references, hull."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.relax import RelaxSettings, relax
from flowllm.stability import HullTable

PROTOCOL = (
    "CHGNet 0.3.0 total energies (MP2020-corrected) minus the elements' lowest entries of the "
    "Materials Project of 2023-02-07"
)


def energies_of(
    crystals: CrystalBatch,
    hull: HullTable,
    steps: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Formation energy and energy above the hull of C crystals, {condition: (C,)} in eV/atom.

    NaN where CHGNet can say nothing. The conditions of MP-20 are of density functional theory with
    the same references, so the two can be compared as they are.

    Args:
        crystals: C crystals.
        hull: the hull, with the elements' references.
        steps: most steps of relaxation; 0 takes the crystals as they are.
        workers: processes; by default all cores.
        progress: called as progress(done, total).
    """
    result = relax(crystals, RelaxSettings(steps=steps), workers=workers, progress=progress)
    totals = result.energies if steps else result.initial_energies
    formation = hull.references.formation_energy(result.crystals, totals)
    above = hull.e_above_hull(result.crystals, formation)
    return {"formation_energy": formation, "e_above_hull": above}
