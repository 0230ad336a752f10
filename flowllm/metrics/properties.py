"""Simple properties of crystals, whose distributions the papers compare."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import ATOMIC_MASSES

GRAMS_PER_CM3 = 1.66053906660  # 1 u/Å^3 in g/cm^3 (CODATA 2018)


def density(crystals: CrystalBatch) -> np.ndarray:
    """(B,) densities in g/cm^3; NaN where the cell has zero volume; an open type weighs nothing."""
    masses = np.array(ATOMIC_MASSES)[crystals.atomic_numbers]
    total = np.bincount(crystals.crystal_of_atom, masses, minlength=len(crystals))
    volumes = crystals.volumes
    share = np.full(len(crystals), np.nan)
    return np.divide(GRAMS_PER_CM3 * total, volumes, out=share, where=volumes > 0)


def n_elements(crystals: CrystalBatch) -> np.ndarray:
    """(B,) int64: how many different elements each crystal holds."""
    kinds = len(ATOMIC_MASSES)
    pairs = np.unique(crystals.crystal_of_atom * kinds + crystals.atomic_numbers)
    return np.bincount(pairs // kinds, minlength=len(crystals)).astype(np.int64)
