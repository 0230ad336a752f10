"""Symmetries of the velocity network, its padding, and the message passing reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from flowllm.errors import InputError
from flowllm.manifolds import metric_tensor
from flowllm.networks.cspnet import VelocityNet
from flowllm.networks.cspnet_pyg import ReferenceVelocityNet
from flowllm.networks.features import (
    cell_features,
    cell_relations,
    difference_features,
    image_distances,
    time_embedding,
)
from flowllm.networks.settings import VelocityConfig


def arguments(crystals, seed=0):
    types, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
    generator = torch.Generator().manual_seed(seed)
    metric = metric_tensor(torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles))
    return {
        "types": types,
        "frac_coords": coords.float(),
        "cell": torch.randn(len(crystals), 6, generator=generator),
        "metric": metric.float(),
        "t": torch.rand(len(crystals), generator=generator),
        "mask": mask,
    }


@torch.no_grad()
def test_a_common_translation_changes_nothing(real_crystals, small_velocity):
    inputs = arguments(real_crystals[:20])
    shift = torch.rand(20, 1, 3, generator=torch.Generator().manual_seed(3))
    moved = {**inputs, "frac_coords": (inputs["frac_coords"] + shift) % 1.0}
    for a, b in zip(small_velocity.net(**inputs), small_velocity.net(**moved), strict=True):
        assert (a - b).abs().max() < 1e-4 * a.abs().max()


@torch.no_grad()
def test_permuting_atoms_permutes_velocities(real_crystals, small_velocity):
    crystal = real_crystals[np.flatnonzero(real_crystals.num_atoms >= 8)[:1]]
    inputs = arguments(crystal)
    order = torch.randperm(inputs["types"].shape[1], generator=torch.Generator().manual_seed(1))
    permuted = {
        **inputs,
        "types": inputs["types"][:, order],
        "frac_coords": inputs["frac_coords"][:, order],
    }
    coords, cell = small_velocity.net(**inputs)
    coords_permuted, cell_permuted = small_velocity.net(**permuted)
    assert torch.allclose(coords[:, order], coords_permuted, atol=1e-5)
    assert torch.allclose(cell, cell_permuted, atol=1e-5)


@torch.no_grad()
def test_padding_changes_nothing(real_crystals, small_velocity):
    crystals = real_crystals[np.argsort(real_crystals.num_atoms)[[0, 60, -1]]]
    together = small_velocity.net(**arguments(crystals))
    inputs = arguments(crystals)
    for index, crystal in enumerate(crystals):
        count = int(crystal.num_atoms[0])
        alone = {k: v[index : index + 1] for k, v in inputs.items()}
        for name in ("types", "frac_coords", "mask"):
            alone[name] = alone[name][:, :count]
        coords, cell = small_velocity.net(**alone)
        assert torch.allclose(together[0][index, :count], coords[0], atol=1e-5)
        assert torch.allclose(together[1][index], cell[0], atol=1e-5)
        assert (together[0][index, count:] == 0).all()


@torch.no_grad()
def test_what_stands_on_padding_does_not_matter(real_crystals, small_velocity):
    crystals = real_crystals[np.argsort(real_crystals.num_atoms)[[0, -1]]]
    inputs = arguments(crystals)
    other = {k: v.clone() for k, v in inputs.items()}
    other["types"][~inputs["mask"]] = 42
    other["frac_coords"][~inputs["mask"]] = 0.77
    for a, b in zip(small_velocity.net(**inputs), small_velocity.net(**other), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@torch.no_grad()
def test_coordinate_velocities_are_mean_free_and_depend_on_everything(
    real_crystals, small_velocity
):
    inputs = arguments(real_crystals[20:30])
    coords, cell = small_velocity.net(**inputs)
    assert coords.sum(1).abs().max() < 1e-4
    assert coords.abs().max() > 1e-3
    changes = {
        "types": torch.ones_like(inputs["types"]),
        "frac_coords": inputs["frac_coords"] ** 2,
        "cell": inputs["cell"] + 1,
        "metric": inputs["metric"] * 0.5,
        "t": 1 - inputs["t"],
    }
    for name, value in changes.items():
        assert (small_velocity.net(**{**inputs, name: value})[1] - cell).abs().max() > 1e-4, name


@pytest.mark.parametrize(("distance_features", "cell_frequencies"), [(0, 4), (6, 0), (6, 8)])
def test_dense_and_message_passing_agree(real_crystals, distance_features, cell_frequencies):
    torch.manual_seed(0)
    net = VelocityNet(VelocityConfig(32, 3, 8, 5, distance_features, cell_frequencies))
    for head in (net.coord_head, net.cell_head):
        torch.nn.init.normal_(head.weight, std=0.2)
    crystals = real_crystals[:12]
    inputs = arguments(crystals)
    graph = Batch.from_data_list(crystals.to_pyg())
    reference = ReferenceVelocityNet(net)(
        graph.x,
        graph.frac_coords.float(),
        graph.edge_index,
        graph.batch,
        inputs["cell"],
        inputs["metric"],
        inputs["t"],
    )
    coords, cell = net(**inputs)
    assert (coords[inputs["mask"]] - reference[0]).abs().max() < 1e-5
    assert (cell - reference[1]).abs().max() < 1e-5


def test_an_untrained_network_predicts_no_motion(real_crystals):
    net = VelocityNet(VelocityConfig(hidden=16, layers=1, time_dim=4))
    coords, cell = net(**arguments(real_crystals[:3]))
    assert (coords == 0).all() and (cell == 0).all()


def test_gradients_reach_every_parameter(real_crystals, small_velocity):
    coords, cell = small_velocity.net(**arguments(real_crystals[:4]))
    (coords.square().sum() + cell.square().sum()).backward()
    for name, parameter in small_velocity.net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_inference_and_training_give_the_same_numbers(real_crystals, small_velocity):
    inputs = arguments(real_crystals[:5])
    tracked = small_velocity.net(**inputs)
    with torch.inference_mode():
        in_place = small_velocity.net(**inputs)
    for a, b in zip(tracked, in_place, strict=True):
        assert torch.equal(a.detach(), b)


def test_difference_features_are_sines_and_cosines_of_differences():
    coords = torch.rand(2, 4, 3, dtype=torch.float64)
    features = difference_features(coords, 3)
    difference = coords[:, None] - coords[:, :, None]
    phases = (2 * torch.pi * difference[..., None] * torch.arange(1, 4)).flatten(-2)
    assert torch.allclose(features, torch.cat([phases.sin(), phases.cos()], -1), atol=1e-12)


def test_image_distances_match_pymatgen_where_they_are_short(real_crystals):
    crystals = real_crystals[:30]
    metric = metric_tensor(torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles))
    for index, structure in enumerate(crystals.to_pymatgen()):
        coords = torch.from_numpy(structure.frac_coords)[None]
        ours = image_distances(coords, metric[index : index + 1])[0].numpy()
        exact = structure.distance_matrix
        assert (ours > exact - 1e-6).all()
        short = exact < 0.5 * min(structure.lattice.abc)
        assert np.allclose(ours[short], exact[short], atol=1e-6)


def test_cell_relations_are_those_of_pymatgens_lattices(real_crystals):
    crystals = real_crystals[:40]
    metric = metric_tensor(torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles))
    for found, structure in zip(cell_relations(metric), crystals.to_pymatgen(), strict=True):
        lattice = structure.lattice
        vectors = lattice.matrix
        pairs = ((1, 2), (0, 2), (0, 1))
        projections = [
            vectors[i] @ vectors[j] / min(lattice.abc[i], lattice.abc[j]) ** 2 for i, j in pairs
        ]
        expected = [
            *np.cos(np.radians(lattice.angles)),
            *projections,
            *(np.log(lattice.abc[i] / lattice.abc[j]) for i, j in pairs),
            *np.log(lattice.abc),
            np.log(lattice.volume),
        ]
        assert np.allclose(found.numpy(), expected, atol=1e-9)


def test_a_small_strain_changes_the_features_of_the_cell(real_crystals):
    metric = metric_tensor(
        torch.from_numpy(real_crystals.lengths), torch.from_numpy(real_crystals.angles)
    )
    before, after = (cell_features(metric * (1 + e) ** 2, 8) for e in (0.0, 0.01))
    assert before.shape == (len(real_crystals), 208)
    assert ((after - before).abs().max(1).values > 0.5).all()


def test_time_embedding_tells_times_apart():
    embedded = time_embedding(torch.linspace(0, 1, 101), 16)
    distances = torch.cdist(embedded, embedded) + 10 * torch.eye(101)
    assert embedded.shape == (101, 16) and distances.min() > 1e-2


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": 0},
        {"layers": -1},
        {"time_dim": 7},
        {"num_frequencies": 0},
        {"distance_features": -2},
        {"cell_frequencies": -1},
        {"cell_map": "nothing"},
        {"hidden": 1.5},
    ],
)
def test_a_bad_config_is_refused(change):
    with pytest.raises(InputError, match=next(iter(change)).split("_")[0]):
        VelocityConfig(**change)
