"""FlowMM's network: its symmetries, its inputs, padding, and the message passing reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import metric_tensor
from flowllm.manifolds.analog_bits import to_bits
from flowllm.networks.flowmm import FlowMMNet, edge_angles, neighbour_shares
from flowllm.networks.flowmm_pyg import ReferenceFlowMMNet
from flowllm.networks.flowmm_settings import FlowMMConfig

TASKS = ("csp", "dng")


def arguments(crystals: CrystalBatch, task: str) -> dict[str, torch.Tensor]:
    species, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
    generator = torch.Generator().manual_seed(0)
    metric = metric_tensor(torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles))
    noise = torch.randn((*species.shape, 7), generator=generator) * 0.1
    return {
        "species": to_bits(species) + noise if task == "dng" else species,
        # off the special positions, where a wrapped difference is one half
        "frac_coords": (coords + 0.3 * torch.rand(coords.shape, generator=generator)).float() % 1,
        "cell": torch.randn(len(crystals), 6, generator=generator),
        "metric": metric.float(),
        "t": torch.rand(len(crystals), generator=generator),
        "mask": mask,
    }


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.allclose(a, b, atol=2e-5) for a, b in zip(one, other, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_a_common_translation_changes_nothing(crystals, networks, task):
    inputs = arguments(crystals[:20], task)
    shift = torch.rand(20, 1, 3, generator=torch.Generator().manual_seed(3))
    moved = {**inputs, "frac_coords": (inputs["frac_coords"] + shift) % 1.0}
    assert same(networks[task].net(**inputs), networks[task].net(**moved))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_permuting_atoms_permutes_velocities(crystals, networks, task):
    inputs = arguments(crystals[np.flatnonzero(crystals.num_atoms >= 8)[:1]], task)
    order = torch.randperm(inputs["mask"].shape[1], generator=torch.Generator().manual_seed(1))
    permuted = {**inputs, **{n: inputs[n][:, order] for n in ("species", "frac_coords")}}
    coords, cell, bits = networks[task].net(**inputs)
    assert same((coords[:, order], cell, bits[:, order]), networks[task].net(**permuted))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_batch_mates_and_what_stands_on_padding_change_nothing(crystals, networks, task):
    chosen = crystals[np.argsort(crystals.num_atoms)[[0, 80, -1]]]
    assert chosen.num_atoms[0] == 1
    inputs = arguments(chosen, task)
    together = networks[task].net(**inputs)
    other = {name: value.clone() for name, value in inputs.items()}
    for name, value in (("species", 42), ("frac_coords", 0.77)):
        other[name][~inputs["mask"]] = value
    assert all((part[~inputs["mask"]] == 0).all() for part in (together[0], together[2]))
    for k, count in enumerate(chosen.num_atoms):
        alone = {name: value[k : k + 1] for name, value in inputs.items()}
        for name in ("species", "frac_coords", "mask"):
            alone[name] = alone[name][:, :count]
        coords, cell, bits = networks[task].net(**alone)
        for made in (together, networks[task].net(**other)):
            mine = (made[0][k, :count], made[1][k], made[2][k, :count])
            assert same(mine, (coords[0], cell[0], bits[0]))


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_velocities_are_mean_free_and_depend_on_every_input(crystals, networks, task):
    inputs = arguments(crystals[20:30], task)
    coords, cell, bits = networks[task].net(**inputs)
    assert coords.sum(1).abs().max() < 1e-5 and coords.abs().max() > 1e-3
    assert bits.shape == (*inputs["mask"].shape, 7 if task == "dng" else 0)
    changes = {
        "species": torch.ones_like(inputs["species"]),
        "frac_coords": inputs["frac_coords"] ** 2,
        "cell": inputs["cell"] + 1,
        "metric": inputs["metric"][:, [1, 2, 0]][:, :, [1, 2, 0]],  # angles between edges and cell
        "t": 1 - inputs["t"],
    }
    for name, value in changes.items():
        changed = networks[task].net(**{**inputs, name: value})
        assert (changed[1] - cell).abs().max() > 1e-4, name


def equal_atoms(count: int) -> dict[str, torch.Tensor]:
    """A crystal of equal atoms in one place: all nodes are equal, however many there are."""
    inputs = {"species": torch.full((1, count), 6), "frac_coords": torch.zeros(1, count, 3)}
    cell = {"cell": torch.zeros(1, 6), "metric": 9 * torch.eye(3)[None], "t": torch.tensor([0.5])}
    return {**inputs, **cell, "mask": torch.ones(1, count, dtype=torch.bool)}


@torch.no_grad()
def test_the_sum_over_nodes_sees_the_number_of_atoms(networks):
    net = FlowMMNet(networks["csp"].net.config)
    net.load_state_dict(networks["csp"].net.state_dict())
    width, others = net.config.hidden, net.config.hidden + net.config.time_dim
    net.mix.weight[:, others:] = 0.0  # the number itself is no input
    two, three = (net(**equal_atoms(count))[1] for count in (2, 3))
    assert (two - three).abs().max() > 1e-4
    net.cell_mix.weight[:, width : 2 * width] = 0.0  # the mean alone
    two, three = (net(**equal_atoms(count))[1] for count in (2, 3))
    assert (two - three).abs().max() < 1e-6


@torch.no_grad()
def test_the_number_of_atoms_is_an_input(networks):
    net = FlowMMNet(networks["csp"].net.config)
    net.load_state_dict(networks["csp"].net.state_dict())
    net.cell_mix.weight[:, net.config.hidden : 2 * net.config.hidden] = 0.0
    two, three = (net(**equal_atoms(count))[1] for count in (2, 3))
    assert (two - three).abs().max() > 1e-4


def test_an_atom_has_no_edge_to_itself():
    shares = neighbour_shares(torch.tensor([[True, True, True], [True, False, False]]), torch.float)
    assert torch.equal(shares[0], (torch.ones(3, 3) - torch.eye(3)) / 2)
    assert (shares[1] == 0).all()


def test_angles_between_edges_and_cell_vectors_are_those_of_cartesian_vectors(crystals):
    crystal = crystals[np.flatnonzero(crystals.num_atoms == 5)[:1]]
    inputs = arguments(crystal, "csp")
    found = edge_angles(inputs["frac_coords"], inputs["metric"])[0].numpy()
    frac, lattice = inputs["frac_coords"][0].double().numpy(), crystal.lattices[0]
    difference = frac[None] - frac[:, None]
    edges = (difference - np.round(difference)) @ lattice
    for i, j in ((0, 1), (3, 2), (4, 0)):
        for k in range(3):
            product = edges[i, j] @ lattice[k]
            cosine = product / np.linalg.norm(edges[i, j]) / np.linalg.norm(lattice[k])
            assert found[i, j, k] == pytest.approx(cosine, abs=1e-5)
    assert (found[range(5), range(5)] == 0).all()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("distance_features", "cell_frequencies"), [(0, 0), (6, 3)])
def test_dense_and_message_passing_agree(crystals, task, distance_features, cell_frequencies):
    torch.manual_seed(0)
    net = FlowMMNet(
        FlowMMConfig(32, 3, 8, 4, 5, distance_features, cell_frequencies, task == "dng")
    )
    for head in (net.coord_head, net.cell_head, net.bits_head):
        if head is not None:
            torch.nn.init.normal_(head.weight, std=0.2)
    chosen = crystals[np.argsort(crystals.num_atoms)[[0, 20, 60, 90, 120, -1]]]
    inputs, graph = arguments(chosen, task), Batch.from_data_list(chosen.to_pyg())
    mask = inputs["mask"]
    found = ReferenceFlowMMNet(net)(
        inputs["species"][mask], inputs["frac_coords"][mask], graph.edge_index, graph.batch,
        inputs["cell"], inputs["metric"], inputs["t"],
    )  # fmt: skip
    coords, cell, bits = net(**inputs)
    for one, other in zip((coords[mask], cell, bits[mask]), found, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"hidden": 0}, "hidden"), ({"count_dim": 3}, "count_dim must be even"),
     ({"distance_features": -1}, "distance_features"), ({"cell_map": "cube"}, "unknown cell")],
)  # fmt: skip
def test_sizes_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        FlowMMConfig(**change)
