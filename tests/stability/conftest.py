"""Real crystals and the same ones written differently, for everything that compares crystals."""

from __future__ import annotations

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import reduce_cif

SUPERCELLS = ([2, 1, 1], [[1, 1, 0], [0, 1, 0], [0, 0, 1]], [[1, 0, 1], [-1, 1, 0], [0, 0, 2]])


def rewrite(crystals: CrystalBatch, seed: int = 0, noise: float = 0.0) -> CrystalBatch:
    """Each crystal in another cell, with another origin and order, moved by at most `noise` Å."""
    rng = np.random.default_rng(seed)
    result = []
    for index, structure in enumerate(crystals.to_pymatgen()):
        copy = structure.copy()
        copy.make_supercell(SUPERCELLS[index % len(SUPERCELLS)])
        copy.translate_sites(range(len(copy)), rng.random(3))
        if noise:
            copy.perturb(noise)
        order = rng.permutation(len(copy))
        result.append(type(copy).from_sites([copy[int(i)] for i in order]))
    return CrystalBatch.from_pymatgen(result, [f"{name}-again" for name in crystals.ids])


def spoil(crystal: CrystalBatch) -> CrystalBatch:
    """The same crystal, written in four ways so that it cannot be compared."""
    right = np.full((1, 3), 90.0)
    flat = crystal.replace(angles=np.full((1, 3), 150.0), ids=["flat"])
    tiny = crystal.replace(lengths=np.full((1, 3), 0.2), angles=right, ids=["tiny"])
    long = crystal.replace(lengths=[[5000.0, 1.0, 1.0]], angles=right, ids=["long"])
    numbers = crystal.atomic_numbers.copy()
    numbers[0] = 0
    return CrystalBatch.concatenate(
        [flat, tiny, long, crystal.replace(atomic_numbers=numbers, ids=["open"])]
    )


@pytest.fixture(scope="session")
def rewritten():
    """Writes crystals differently: rewritten(crystals, seed, noise)."""
    return rewrite


@pytest.fixture(scope="session")
def faulty():
    """Spoils a crystal in four ways: faulty(crystal)."""
    return spoil


@pytest.fixture(scope="session")
def polymorphs(data_dir):
    """120 real crystals of 40 compositions, three of each, in mixed order."""
    import pandas as pd

    columns = ["material_id", "pretty_formula", "cif"]
    table = pd.read_csv(data_dir / "mp_20" / "val.csv.gz", usecols=columns)
    families = table.groupby("pretty_formula", sort=False)
    rows = table[families["cif"].transform("size") >= 3]
    rows = (
        rows.groupby("pretty_formula", sort=False).head(3).head(120).sample(frac=1, random_state=0)
    )
    return CrystalBatch.concatenate(
        reduce_cif(text, name) for text, name in zip(rows.cif, rows.material_id, strict=True)
    )


@pytest.fixture(scope="session")
def again(polymorphs):
    """30 of them, rewritten."""
    return rewrite(polymorphs[:30])
