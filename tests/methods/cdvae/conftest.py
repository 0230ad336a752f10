"""A CDVAE of a few thousand weights, trained on 48 small crystals of the real data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowllm.data.dataset import CrystalSet
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.methods.cdvae.model import CDVAEModel
from flowllm.methods.cdvae.settings import CDVAETrainSettings
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.methods.cdvae.train import energies_of, train_cdvae
from flowllm.networks.cdvae.network import CDVAE
from flowllm.networks.cdvae.settings import CDVAEConfig

SIZES = CDVAEConfig(latent=12, hidden=16, layers=1, basis=6, cutoff=4.0, head_hidden=32)
SETTINGS = CDVAETrainSettings(
    network=SIZES, noise=NoiseLevels(noise_levels=8), epochs=160, batch_size=24, learning_rate=1e-2,
    eval_steps=160, save_steps=160, log_steps=80, ema_decay=0.9, threads=1,
)  # fmt: skip


@pytest.fixture(scope="session")
def crystals() -> CrystalSet:
    """48 crystals of up to six atoms, with formation energies."""
    from flowllm.data import load_dataset

    some = load_dataset("mp_20", "train")[:2000]
    return some[np.flatnonzero(some.crystals.num_atoms <= 6)[:48]]


def untrained(crystals: CrystalSet, seed: int = 0) -> CDVAEModel:
    """The networks before any training."""
    statistics = CDVAEStatistics.fit(crystals.crystals, energies_of(crystals))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CDVAEModel.of(CDVAE(SIZES), statistics, SETTINGS.noise)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Folder of the training run."""
    return tmp_path_factory.mktemp("cdvae")


@pytest.fixture(scope="session")
def trained(crystals, run) -> CDVAEModel:
    """The trained networks; not to be changed."""
    return train_cdvae(crystals, crystals, SETTINGS, run, "cpu")
