"""Extended XYZ is the text that ASE writes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from ase.io import read, write

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.extxyz import extxyz_text
from flowllm.data.shipped import load_shipped


def by_ase(crystals: CrystalBatch) -> str:
    buffer = io.StringIO()
    write(buffer, crystals.to_ase(), format="extxyz")
    return buffer.getvalue()


def test_crystals_of_mp20() -> None:
    crystals = load_shipped("mp_20", "test").crystals[:300]
    assert extxyz_text(crystals) == by_ase(crystals)


@pytest.mark.parametrize("name", ["c000001", "mp-12_a.b", "two words", "12", 'with "quotes"', "é"])
def test_ids_of_all_kinds(name: str) -> None:
    crystals = CrystalBatch([8, 0], [[0.1, 0.2, 0.999], [0, 0, 0]], [[12.0, 4, 5]],
                            [[90.0, 60.5, 119]], [2], [name])  # fmt: skip
    text = extxyz_text(crystals)
    assert text == by_ase(crystals)
    again = read(io.StringIO(text), format="extxyz")
    assert str(again.info["id"]) == name
    np.testing.assert_allclose(again.get_scaled_positions(), crystals.frac_coords, atol=1e-7)
