"""Real crystals, the compact tokenizer and tiny models for the tests of the language model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowllm.crystal import CrystalBatch
from flowllm.data import CrystalSet, reduce_cif
from flowllm.lm import CompactConfig, build_compact
from flowllm.text import build_tokenizer

COLUMNS = {
    "space_group": "spacegroup.number",
    "formation_energy": "formation_energy_per_atom",
    "e_above_hull": "e_above_hull",
    "band_gap": "band_gap",
}


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="session")
def crystal_set(mp20_rows) -> CrystalSet:
    """112 reduced crystals of MP-20 with what is known of them."""
    rows = mp20_rows.head(112)
    crystals = CrystalBatch.concatenate(
        reduce_cif(cif, name) for cif, name in zip(rows["cif"], rows["material_id"], strict=True)
    )
    known = {name: rows[column].to_numpy(np.float64) for name, column in COLUMNS.items()}
    return CrystalSet(crystals, known)


@pytest.fixture(scope="session")
def tiny_config():
    return CompactConfig(hidden=32, layers=2, heads=2, feed_forward=64, context=128)


@pytest.fixture
def tiny(tokenizer, tiny_config):
    """A tiny compact model with random weights, larger than usual so that its choices differ."""
    model = build_compact(tokenizer, tiny_config, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    return model.eval()
