"""Texts, tokenizer and real crystals for the tests of the text room."""

from __future__ import annotations

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import reduce_cif
from flowllm.text.formats.gruver.table import GruverTable
from flowllm.text.tokenizer import build_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="session")
def table(tokenizer):
    return GruverTable(tokenizer, 20)


@pytest.fixture(scope="session")
def reduced(mp20_rows) -> CrystalBatch:
    """100 reduced crystals of MP-20."""
    rows = mp20_rows.iloc[::2]
    return CrystalBatch.concatenate(
        reduce_cif(cif, name) for cif, name in zip(rows["cif"], rows["material_id"], strict=True)
    )


@pytest.fixture
def strontium_titanate() -> CrystalBatch:
    """SrTiO3 with its atoms in disorder and numbers on the edge of rounding."""
    return CrystalBatch(
        np.array([8, 22, 8, 38, 8]),
        np.array([[0.5, 0.5, 0], [0.5, 0.5, 0.5], [0.5, 0, 0.5], [0.996, 0, 0.004], [0, 0.5, 0.5]]),
        np.array([[3.912, 3.96, 3.94]]),
        np.array([[89.99, 90.4, 90.0]]),
        np.array([5]),
        np.array(["STO"]),
    )
