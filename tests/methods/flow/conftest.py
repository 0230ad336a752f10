"""Crystals and a small network for the tests of the flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.flow.couplings.alignment import align
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flow.velocity import CrystalVelocity
from flowllm.networks.settings import VelocityConfig


@pytest.fixture(scope="session")
def real_crystals(mp20_crystals) -> CrystalBatch:
    """1,000 real crystals."""
    return mp20_crystals


@pytest.fixture
def perturbed():
    """A function that gives (c0, c1): noisy, shifted, shuffled copies of crystals, and those."""
    return perturb


@pytest.fixture
def noisy_pairs(real_crystals) -> PairSet:
    """120 real crystals with such copies, aligned."""
    c0, c1 = perturb(real_crystals[:120], seed=0)
    return PairSet(align(c0, c1), c1)


def perturb(c1: CrystalBatch, seed: int, noise: float = 0.03) -> tuple[CrystalBatch, CrystalBatch]:
    rng = np.random.default_rng(seed)
    parts = []
    for crystal in c1:
        order = rng.permutation(len(crystal.atomic_numbers))
        coords = (
            crystal.frac_coords[order] + noise * rng.normal(size=(len(order), 3)) + rng.random(3)
        )
        parts.append(
            crystal.replace(
                atomic_numbers=crystal.atomic_numbers[order],
                frac_coords=coords,
                lengths=crystal.lengths * np.exp(0.02 * rng.normal(size=(1, 3))),
            )
        )
    c0 = CrystalBatch.concatenate(parts)
    valid = np.flatnonzero(c0.volumes > 0)
    return c0[valid], c1[valid]


@pytest.fixture
def small_velocity() -> CrystalVelocity:
    """A small network with random weights, output layers included."""
    torch.manual_seed(0)
    velocity = CrystalVelocity(
        VelocityConfig(hidden=32, layers=2, time_dim=8, num_frequencies=4, distance_features=6),
        FlowStatistics((1.6,) * 3 + (0.0,) * 3, (0.3,) * 6, (0.01,) * 6, (0.1,) * 6, 0.1),
    )
    for head in (velocity.net.coord_head, velocity.net.cell_head):
        torch.nn.init.normal_(head.weight, std=0.2)
    return velocity.eval()
