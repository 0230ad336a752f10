"""Crystals and small networks for the tests of FlowMM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.flowmm.batches import base_statistics
from flowllm.methods.flowmm.velocity import OpenCrystalVelocity
from flowllm.networks.flowmm_settings import FlowMMConfig

TINY = FlowMMConfig(hidden=16, layers=2, time_dim=8, count_dim=4, num_frequencies=3)


@pytest.fixture(scope="session")
def crystals() -> CrystalBatch:
    """160 real crystals, some of a single atom among them."""
    every = load_shipped("mp_20", "val").crystals
    single = every[np.flatnonzero(every.num_atoms == 1)[:4]]
    return CrystalBatch.concatenate([every[every.num_atoms > 1][:156], single])


@pytest.fixture(scope="session")
def base(crystals) -> SimpleBase:
    """The base that is fitted to them."""
    return SimpleBase.fit(crystals)


@pytest.fixture(scope="session")
def networks(crystals, base) -> dict[str, OpenCrystalVelocity]:
    """Task -> a network of random weights, those of its heads among them."""
    return {task: random_network(crystals, base, task) for task in ("csp", "dng")}


def random_network(crystals, base, task: str, seed: int = 0) -> OpenCrystalVelocity:
    config = replace(TINY, draws_species=task == "dng")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = OpenCrystalVelocity(config, base_statistics(crystals, base, config.cell_map))
        for head in (made.net.coord_head, made.net.cell_head, made.net.bits_head):
            if head is not None:
                torch.nn.init.normal_(head.weight, std=0.1)
    return made.eval()
