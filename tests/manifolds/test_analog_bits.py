"""Species as analog bits: every element comes back, and no other index becomes one."""

from __future__ import annotations

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.inputs.arrays import batch_listing
from flowllm.manifolds.analog_bits import NUM_BITS, NUM_SPECIES, to_bits, to_indices, to_species
from flowllm.metrics.composition import compositional_validity

EVERY = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * NUM_BITS)


def test_all_hundred_species_come_back_from_their_bits_and_from_noise_that_keeps_the_signs():
    numbers = torch.arange(1, NUM_SPECIES + 1)
    bits = to_bits(numbers)
    assert bits.shape == (100, 7) and set(bits.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(to_indices(bits), numbers - 1)
    assert torch.equal(to_species(bits), numbers)
    scale = torch.rand(bits.shape, generator=torch.Generator().manual_seed(0)) * 3 + 1e-3
    assert torch.equal(to_species(bits * scale), numbers)


def test_the_bits_of_a_species_are_those_of_z_less_one_from_the_most_significant_on():
    assert to_bits(torch.tensor(1)).tolist() == [-1] * 7
    assert to_bits(torch.tensor(100)).tolist() == [1, 1, -1, -1, -1, 1, 1]  # 99 = 1100011


def test_each_index_above_99_stands_for_no_species_and_is_not_clipped():
    indices, species = to_indices(EVERY), to_species(EVERY)
    assert sorted(indices.tolist()) == list(range(128))
    assert (species == 0).sum() == 28
    assert (species[indices >= 100] == 0).all()
    assert sorted(species[indices < 100].tolist()) == list(range(1, 101))


def test_a_crystal_with_such_an_index_counts_as_invalid():
    bits = torch.cat([to_bits(torch.tensor([11, 17])), EVERY[-2:]])  # NaCl; indices 126 and 127
    numbers = torch.cat([to_species(bits[:2]), to_species(bits[1:3])]).numpy()
    crystals = CrystalBatch(
        numbers, np.array([[0, 0, 0], [0.5, 0.5, 0.5]] * 2), np.full((2, 3), 4.0),
        np.full((2, 3), 90.0), np.array([2, 2]), np.array(["salt", "unknown"]),
    )  # fmt: skip
    assert compositional_validity(crystals).tolist() == [True, False]
    assert [item.reason for item in batch_listing(crystals).items] == [
        "", "an atom's type is open or unknown",
    ]  # fmt: skip
