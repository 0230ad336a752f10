"""CIF in P1 is that of pymatgen's writer, whose comment alone is another."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.io.cif import CifWriter

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError


def assert_as_pymatgen_writes(batch: CrystalBatch) -> None:
    for text, structure in zip(batch.to_cif(), batch.to_pymatgen(), strict=True):
        first, rest = text.split("\n", 1)
        assert first == "# written by FlowLLM"
        assert rest == str(CifWriter(structure)).split("\n", 1)[1]


def test_crystals_of_mp20() -> None:
    assert_as_pymatgen_writes(load_shipped("mp_20", "test").crystals[:300])


@pytest.mark.parametrize(
    "numbers",
    [
        [8, 8],  # a molecule of one element, O2
        [14],
        [1, 8, 8, 6],
        list(range(3, 23)),  # a formula of 70 characters and more
        list(range(20, 40)) * 10,
        [17, 11, 1, 7, 7, 9],
    ],
)
def test_formulas_of_all_kinds(numbers: list[int]) -> None:
    count = len(numbers)
    coords = np.random.default_rng(0).random((count, 3)).round(4)
    batch = CrystalBatch(numbers, coords, [[4.5, 5.25, 6.0]], [[80.0, 95.5, 120.0]], [count], ["a"])
    assert_as_pymatgen_writes(batch)


def test_what_cif_cannot_say_is_named() -> None:
    batch = CrystalBatch([11, 17, 11, 0], np.zeros((4, 3)), [[4.0] * 3] * 2, [[90.0] * 3] * 2,
                         [2, 2], ["good", "open"])  # fmt: skip
    with pytest.raises(InputError, match=r"^open: the species of atom 2 is open \(X\)$"):
        batch.to_cif()
    flat = CrystalBatch([11, 17], np.zeros((2, 3)), [[4.0] * 3] * 2, [[90.0] * 3, [60, 60, 120]],
                        [1, 1], ["good", "flat"])  # fmt: skip
    with pytest.raises(InputError, match=r"^flat: the cell spans no volume$"):
        flat.to_cif()
