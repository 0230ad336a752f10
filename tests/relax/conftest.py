"""A few real crystals of several sizes, as they are and shaken."""

import numpy as np
import pytest

from flowllm.bench.relaxation import perturbed
from flowllm.crystals.batch import CrystalBatch


@pytest.fixture(scope="session")
def several(mp20_crystals) -> CrystalBatch:
    """Eight crystals of 1 to 12 atoms."""
    sizes = (1, 2, 3, 4, 5, 6, 8, 12)
    return mp20_crystals[[int(np.flatnonzero(mp20_crystals.num_atoms == n)[0]) for n in sizes]]


@pytest.fixture(scope="session")
def shaken_crystals(several) -> CrystalBatch:
    """Those of 2 to 6 atoms, displaced and strained as little as generated ones are."""
    return perturbed(several[[1, 2, 3, 4, 5]], seed=3)
