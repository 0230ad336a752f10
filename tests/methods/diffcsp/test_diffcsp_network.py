"""DiffCSP's network: the same as its reference, its symmetries, what it knows untrained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from flowllm.errors import InputError
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.networks.diffcsp_pyg import ReferenceDiffCSPNet
from flowllm.networks.diffcsp_settings import NUM_SPECIES, DiffCSPConfig
from tests.methods.diffcsp.conftest import TINY, random_network

KINDS = [("csp", True), ("dng", True), ("csp", False), ("dng", False)]


def inputs(crystals, task):
    """Double-precision arguments of the network for a padded batch."""
    numbers, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
    make = torch.Generator().manual_seed(1)
    species = numbers
    if task == "dng":
        shape = (*mask.shape, NUM_SPECIES)
        species = torch.randn(shape, generator=make, dtype=torch.float64)
    size = len(mask)
    t = torch.rand(size, generator=make, dtype=torch.float64)
    alpha_bar = 0.05 + 0.9 * torch.rand(size, generator=make, dtype=torch.float64)
    return species, coords, torch.from_numpy(crystals.lattices), t, alpha_bar, mask


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def case(request, crystals):
    task, preconditioned = request.param
    chosen = crystals[[0, 3, 40, 157]]
    return random_network(task, preconditioned=preconditioned).double(), inputs(chosen, task)


@torch.no_grad()
def test_it_is_the_network_of_plain_message_passing(case):
    network, (species, coords, lattices, t, alpha_bar, mask) = case
    dense = network(species, coords, lattices, t, alpha_bar, mask)
    crystal = torch.arange(len(mask))[:, None].expand(mask.shape)[mask]
    edges = (crystal[:, None] == crystal[None]).nonzero().T.flip(0)
    found = ReferenceDiffCSPNet(network)(
        species[mask], coords[mask], edges, crystal, lattices, t, alpha_bar
    )
    for one, other in zip((dense[0][mask], dense[1], dense[2][mask]), found, strict=True):
        torch.testing.assert_close(one, other)
    assert (dense[0][~mask] == 0).all() and (dense[2][~mask] == 0).all()


@torch.no_grad()
def test_a_rotated_or_reflected_cell_turns_the_lattice_noise_and_nothing_else(case):
    network, (species, coords, lattices, t, alpha_bar, mask) = case
    for seed in range(4):
        turn = torch.from_numpy(scipy.stats.ortho_group.rvs(3, random_state=seed))
        before = network(species, coords, lattices, t, alpha_bar, mask)
        after = network(species, coords, lattices @ turn, t, alpha_bar, mask)
        torch.testing.assert_close(after[0], before[0])
        torch.testing.assert_close(after[1], before[1] @ turn)
        torch.testing.assert_close(after[2], before[2])
        assert before[1].abs().max() > 0.1


@torch.no_grad()
def test_atoms_in_another_order_have_the_same_scores_in_that_order(case):
    network, (species, coords, lattices, t, alpha_bar, mask) = case
    before = network(species, coords, lattices, t, alpha_bar, mask)
    order = torch.from_numpy(np.random.default_rng(0).permutation(mask.shape[1]))
    after = network(species[:, order], coords[:, order], lattices, t, alpha_bar, mask[:, order])
    torch.testing.assert_close(after[0], before[0][:, order])
    torch.testing.assert_close(after[1], before[1])
    torch.testing.assert_close(after[2], before[2][:, order])


@torch.no_grad()
def test_a_common_translation_changes_nothing_across_the_border_either(case):
    network, (species, coords, lattices, t, alpha_bar, mask) = case
    before = network(species, coords, lattices, t, alpha_bar, mask)
    shift = torch.tensor([0.3, 0.77, 0.5], dtype=torch.float64)
    after = network(species, (coords + shift) % 1.0, lattices, t, alpha_bar, mask)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)
    assert before[0].abs().max() > 0.01


@torch.no_grad()
def test_more_padding_changes_nothing(case):
    network, (species, coords, lattices, t, alpha_bar, mask) = case
    before = network(species, coords, lattices, t, alpha_bar, mask)

    def wider(x, value):
        return torch.cat([x, torch.full((len(x), 3, *x.shape[2:]), value, dtype=x.dtype)], 1)

    after = network(
        wider(species, 5), wider(coords, 0.4), lattices, t, alpha_bar, wider(mask, False)
    )
    size = mask.shape[1]
    torch.testing.assert_close(after[0][:, :size], before[0])
    torch.testing.assert_close(after[1], before[1])
    torch.testing.assert_close(after[2][:, :size], before[2])


@torch.no_grad()
@pytest.mark.parametrize("alpha_bar", [0.999, 0.7, 0.1, 1e-4])
def test_untrained_it_has_the_best_linear_estimate_of_the_lattice_noise(alpha_bar):
    make = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(20_000, 3, 3, generator=make) for _ in range(2))
    clean = clean * TINY.cell_scale
    noisy = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noise
    slope = (noise * noisy).mean() / noisy.square().mean()
    network, size = DiffCSPNet(TINY), 20_000
    found = network.lattice_noise(torch.zeros(size, 16), noisy, torch.full((size,), alpha_bar))
    torch.testing.assert_close(found, slope * noisy, atol=0.03, rtol=0.03)


@torch.no_grad()
@pytest.mark.parametrize("alpha_bar", [0.999, 0.7, 0.1])
def test_untrained_it_has_the_noise_of_species_that_are_all_as_likely(alpha_bar):
    network = DiffCSPNet(replace(TINY, draws_species=True)).double()
    make = torch.Generator().manual_seed(0)
    noisy = torch.randn(7, NUM_SPECIES, generator=make, dtype=torch.float64)
    noisy[:, 3] += alpha_bar**0.5
    one_hot = torch.eye(NUM_SPECIES, dtype=torch.float64)
    apart = (noisy[:, None] - alpha_bar**0.5 * one_hot).square().sum(-1)
    likelihood = torch.exp(-(apart - apart.min(1, keepdim=True).values) / (2 * (1 - alpha_bar)))
    posterior = likelihood / likelihood.sum(1, keepdim=True)
    expected = (noisy - alpha_bar**0.5 * posterior) / (1 - alpha_bar) ** 0.5
    nodes, signal = (
        torch.zeros(7, 16, dtype=torch.float64),
        torch.tensor(alpha_bar, dtype=torch.float64),
    )
    torch.testing.assert_close(network.species_noise(nodes, noisy, signal), expected)


def test_the_paper_has_the_sizes_of_the_paper():
    config = DiffCSPConfig.paper()
    assert (config.hidden, config.layers, config.num_frequencies) == (512, 6, 128)
    assert config.edge_features == 6 * 128 and config.cell_inputs == 6
    assert not config.preconditioned


@pytest.mark.parametrize(
    ("change", "message"),
    [({"hidden": 0}, "hidden"), ({"time_dim": 7}, "even"), ({"cell_frequencies": -1}, "or more"),
     ({"cell_scale": 0.0}, "cell_scale"), ({"layers": True}, "layers")],
)  # fmt: skip
def test_sizes_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        DiffCSPConfig(**change)
