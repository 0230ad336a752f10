"""Crystals and small networks for the tests of DiffCSP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.networks.diffcsp_settings import DiffCSPConfig

TINY = DiffCSPConfig(
    hidden=16, layers=2, time_dim=8, num_frequencies=3, distance_features=4, cell_frequencies=2
)


@pytest.fixture(scope="session")
def crystals() -> CrystalBatch:
    """160 real crystals, some of a single atom among them."""
    every = load_shipped("mp_20", "val").crystals
    single = every[np.flatnonzero(every.num_atoms == 1)[:4]]
    return CrystalBatch.concatenate([every[every.num_atoms > 1][:156], single])


@pytest.fixture(scope="session")
def networks() -> dict[str, DiffCSPNet]:
    """Task -> a network of random weights, those of its heads among them."""
    return {task: random_network(task) for task in ("csp", "dng")}


def random_network(task: str, seed: int = 0, **change) -> DiffCSPNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = DiffCSPNet(replace(TINY, draws_species=task == "dng", **change))
        for head in (made.coord_head, made.lattice_head, made.species_head):
            if head is not None:
                torch.nn.init.normal_(head.weight, std=0.1)
    return made.eval()
