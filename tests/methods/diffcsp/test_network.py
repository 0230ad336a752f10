"""DiffCSP's network: its symmetries, its inputs, padding, and the message passing reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot
from torch_geometric.data import Batch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.networks.diffcsp_pyg import ReferenceDiffCSPNet
from flowllm.networks.diffcsp_settings import DiffCSPConfig
from tests.methods.diffcsp.conftest import random_network

TASKS = ("csp", "dng")


def arguments(crystals: CrystalBatch, task: str) -> dict[str, torch.Tensor]:
    """Crystals with some noise, at one level each."""
    species, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
    generator = torch.Generator().manual_seed(0)
    vectors = one_hot((species - 1).clamp(min=0), 100).float()
    lattices = torch.from_numpy(crystals.lattices).float()
    t = 0.05 + 0.9 * torch.rand(len(crystals), generator=generator)
    return {
        "species": vectors + 0.3 * torch.randn(vectors.shape, generator=generator)
        if task == "dng"
        else species,
        # off the special positions, where a wrapped difference is one half
        "frac_coords": (coords + 0.3 * torch.rand(coords.shape, generator=generator)).float() % 1,
        "lattices": lattices + torch.randn(lattices.shape, generator=generator),
        "t": t,
        "alpha_bar": torch.cos(t * torch.pi / 2).square(),
        "mask": mask,
    }


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.allclose(a, b, atol=2e-4) for a, b in zip(one, other, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_a_common_translation_changes_nothing(crystals, networks, task):
    inputs = arguments(crystals[:20], task)
    shift = torch.rand(20, 1, 3, generator=torch.Generator().manual_seed(3))
    moved = {**inputs, "frac_coords": (inputs["frac_coords"] + shift) % 1.0}
    assert same(networks[task](**inputs), networks[task](**moved))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("reflected", [False, True])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_the_noise_of_the_lattice_turns_with_it_and_all_else_stays(
    crystals, task, reflected, preconditioned
):
    network = random_network(task, preconditioned=preconditioned)
    inputs = arguments(crystals[:20], task)
    generator = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    turn = turn * torch.linalg.det(turn) * (-1 if reflected else 1)
    assert float(torch.linalg.det(turn)) == pytest.approx(-1 if reflected else 1)
    score, lattice, species = network(**inputs)
    turned = network(**{**inputs, "lattices": inputs["lattices"] @ turn})
    assert lattice.abs().max() > 0.1
    assert same((score, lattice @ turn, species), turned)


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_permuting_atoms_permutes_scores(crystals, networks, task):
    inputs = arguments(crystals[np.flatnonzero(crystals.num_atoms >= 8)[:1]], task)
    order = torch.randperm(inputs["mask"].shape[1], generator=torch.Generator().manual_seed(1))
    permuted = {**inputs, **{n: inputs[n][:, order] for n in ("species", "frac_coords")}}
    score, lattice, species = networks[task](**inputs)
    assert same((score[:, order], lattice, species[:, order]), networks[task](**permuted))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_batch_mates_and_what_stands_on_padding_change_nothing(crystals, networks, task):
    chosen = crystals[np.argsort(crystals.num_atoms)[[0, 80, -1]]]
    assert chosen.num_atoms[0] == 1
    inputs = arguments(chosen, task)
    other = {name: value.clone() for name, value in inputs.items()}
    for name, value in (("species", 42), ("frac_coords", 0.77)):
        other[name][~inputs["mask"]] = value
    together = networks[task](**inputs)
    assert all((part[~inputs["mask"]] == 0).all() for part in (together[0], together[2]))
    for k, count in enumerate(chosen.num_atoms):
        alone = {name: value[k : k + 1] for name, value in inputs.items()}
        for name in ("species", "frac_coords", "mask"):
            alone[name] = alone[name][:, :count]
        score, lattice, species = networks[task](**alone)
        for made in (together, networks[task](**other)):
            mine = (made[0][k, :count], made[1][k], made[2][k, :count])
            assert same(mine, (score[0], lattice[0], species[0]))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_it_depends_on_every_input(crystals, networks, task):
    inputs = arguments(crystals[20:30], task)
    found = networks[task](**inputs)
    assert found[2].shape == (*inputs["mask"].shape, 100 if task == "dng" else 0)
    changes = {
        "species": inputs["species"].flip(-1) if task == "dng" else inputs["species"] * 0 + 1,
        "frac_coords": inputs["frac_coords"] ** 2,
        "lattices": inputs["lattices"] * torch.tensor([[1.3], [1.0], [1.0]]),
        "t": 1 - inputs["t"],
    }
    for name, value in changes.items():
        changed = networks[task](**{**inputs, name: value})
        assert (changed[0] - found[0]).abs().max() > 1e-4, name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("plain", [False, True])
def test_dense_and_message_passing_agree(crystals, task, plain):
    changes = {"distance_features": 0, "cell_frequencies": 0, "preconditioned": False}
    net = random_network(task, **(changes if plain else {}))
    chosen = crystals[np.argsort(crystals.num_atoms)[[0, 20, 60, 90, 120, -1]]]
    inputs, graph = arguments(chosen, task), Batch.from_data_list(chosen.to_pyg())
    mask = inputs["mask"]
    loops = torch.arange(graph.num_nodes).repeat(2, 1)
    found = ReferenceDiffCSPNet(net)(
        inputs["species"][mask], inputs["frac_coords"][mask],
        torch.cat([graph.edge_index[:, graph.edge_index[0] != graph.edge_index[1]], loops], 1),
        graph.batch, inputs["lattices"], inputs["t"], inputs["alpha_bar"],
    )  # fmt: skip
    score, lattice, species = net(**inputs)
    for one, other in zip((score[mask], lattice, species[mask]), found, strict=True):
        assert torch.allclose(one, other, atol=2e-4)


def test_the_default_network_takes_less_than_5_mb():
    for task in TASKS:
        net = random_network(task, **{n: getattr(DiffCSPConfig(), n) for n in (
            "hidden", "layers", "time_dim", "num_frequencies", "distance_features",
            "cell_frequencies",
        )})  # fmt: skip
        assert 2 * sum(parameter.numel() for parameter in net.parameters()) < 5e6


@pytest.mark.parametrize(
    ("change", "message"),
    [({"hidden": 0}, "hidden"), ({"time_dim": 3}, "time_dim must be even"),
     ({"distance_features": -1}, "distance_features"), ({"cell_scale": 0.0}, "cell_scale")],
)  # fmt: skip
def test_sizes_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        DiffCSPConfig(**change)
