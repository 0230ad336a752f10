"""The equivariant network: nothing depends on axes, origin, cell or order; symmetry is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure
from torch_geometric.data import Batch

from flowllm.errors import InputError
from flowllm.networks.equivariant.neighbours import neighbours
from flowllm.networks.equivariant.network import EquivariantNetwork, radial_basis
from flowllm.networks.equivariant.network_pyg import EquivariantReference, graph_of
from flowllm.networks.equivariant.settings import EquivariantConfig

CONFIG = EquivariantConfig(hidden=16, layers=2, basis=8)


@pytest.fixture(scope="module")
def network() -> EquivariantNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = EquivariantNetwork(CONFIG).double().eval()
        torch.nn.init.normal_(made.stretch_head.weight, std=1.0)  # it begins near 0
    return made


def crystal(seed: int, count: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Species (n,), coordinates (n, 3) and a skewed cell (1, 3, 3)."""
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(3, 6, 3)) + rng.uniform(-1, 1, (3, 3))
    coords, species = rng.random((count, 3)), rng.integers(1, 90, count)
    return torch.tensor(species), torch.tensor(coords), torch.tensor(lattice)[None]


def moves(network, species, coords, lattice):
    with torch.no_grad():
        found = network(species, coords, lattice, torch.tensor([len(species)]))
    return found.displacement, found.strain[0]


def rotation(seed: int, sign: float = 1.0) -> torch.Tensor:
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return torch.tensor(sign * q * np.sign(np.diag(r)))


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([1.0, -1.0]))
def test_rotated_and_inverted_crystals_move_alike(network, seed, sign):
    species, coords, lattice = crystal(seed)
    turn = rotation(seed + 1, sign)
    moved, strain = moves(network, species, coords, lattice)
    assert moved.abs().max() > 1e-3 and strain.abs().max() > 1e-3
    turned, turned_strain = moves(network, species, coords, lattice @ turn)
    torch.testing.assert_close(turned, moved @ turn)
    torch.testing.assert_close(turned_strain, turn.T @ strain @ turn)
    torch.testing.assert_close(strain, strain.T)


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_origin_axes_and_order_change_nothing(network, seed):
    species, coords, lattice = crystal(seed)
    moved, strain = moves(network, species, coords, lattice)
    change = torch.tensor([[1.0, 1, 0], [0, 1, 0], [-1, 0, 1]], dtype=torch.float64)
    order = torch.randperm(len(species), generator=torch.Generator().manual_seed(seed))
    shifted = (coords + torch.tensor([0.3, -1.7, 0.51])) @ torch.linalg.inv(change)
    other, other_strain = moves(network, species[order], shifted[order], change @ lattice)
    torch.testing.assert_close(other, moved[order])
    torch.testing.assert_close(other_strain, strain)


def test_a_supercell_moves_as_its_cell(network):
    species, coords, lattice = crystal(7)
    moved, strain = moves(network, species, coords, lattice)
    double = torch.diag(torch.tensor([2.0, 1, 1], dtype=torch.float64))
    twice = torch.cat([coords, coords + torch.tensor([1.0, 0, 0])]) @ torch.linalg.inv(double)
    large, large_strain = moves(network, species.repeat(2), twice, double @ lattice)
    torch.testing.assert_close(large, moved.repeat(2, 1))
    torch.testing.assert_close(large_strain, strain)


def test_a_batch_gives_what_each_crystal_gives(network):
    parts = [crystal(seed, count) for seed, count in ((1, 3), (2, 7), (3, 1))]
    species, coords, lattices = (torch.cat([part[k] for part in parts]) for k in range(3))
    with torch.no_grad():
        found = network(species, coords, lattices, torch.tensor([3, 7, 1]))
    alone = [moves(network, *part) for part in parts]
    torch.testing.assert_close(found.displacement, torch.cat([moved for moved, _ in alone]))
    torch.testing.assert_close(found.strain, torch.stack([strain for _, strain in alone]))
    assert found.displacement[-1].abs().max() == 0  # an atom alone cannot move against others


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_neighbours_are_those_that_pymatgen_finds(seed):
    species, coords, lattice = crystal(seed, 6)
    found = neighbours(coords - 3.0, lattice, torch.tensor([6]), 5.0)
    structure = Structure(lattice[0].numpy(), species.tolist(), coords.numpy())
    centre, neighbour, _, distance = structure.get_neighbor_list(5.0)
    ours = list(zip(found.centre.tolist(), found.neighbour.tolist(), strict=True))
    order = np.lexsort((found.vector.norm(dim=-1).numpy(), *np.array(ours).T[::-1]))
    theirs = np.lexsort((distance, neighbour, centre))
    assert np.array(ours)[order].tolist() == np.stack([centre, neighbour], 1)[theirs].tolist()
    np.testing.assert_allclose(found.vector.norm(dim=-1).numpy()[order], distance[theirs])


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_its_reference_on_graphs(network, seed):
    parts = [crystal(10 * seed + k, count) for k, count in enumerate((2, 6, 1))]
    species, coords, lattices = (torch.cat([part[k] for part in parts]) for k in range(3))
    with torch.no_grad():
        ours = network(species, coords, lattices, torch.tensor([2, 6, 1]))
        graphs = [graph_of(z, x, cell[0], CONFIG.cutoff) for z, x, cell in parts]
        theirs = EquivariantReference(network)(Batch.from_data_list(graphs))
    assert ours.displacement.abs().max() > 1e-3 and ours.strain.abs().max() > 1e-3
    torch.testing.assert_close(ours.displacement, theirs.displacement, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(ours.strain, theirs.strain, rtol=1e-8, atol=1e-10)


def test_nothing_jumps_where_an_atom_crosses_the_cutoff(network):
    species = torch.tensor([8, 22])
    lattice = torch.eye(3, dtype=torch.float64)[None] * 12.0

    def strain_at(distance: float) -> torch.Tensor:
        coords = torch.tensor([[0.0, 0, 0], [distance / 12.0, 0, 0]], dtype=torch.float64)
        return moves(network, species, coords, lattice)[1]

    inside, outside = strain_at(CONFIG.cutoff - 1e-5), strain_at(CONFIG.cutoff + 1e-5)
    assert (inside - outside).abs().max() < 1e-9
    assert strain_at(2.0).abs().max() > 1e-3


def test_the_radial_functions_are_smooth_at_the_cutoff():
    distance = torch.tensor([5.0 - 1e-4], dtype=torch.float64, requires_grad=True)
    _, fade = radial_basis(distance, 4, 5.0)
    (slope,) = torch.autograd.grad(fade, distance)
    assert abs(float(fade.detach())) < 1e-10 and abs(float(slope)) < 1e-6
    assert radial_basis(torch.tensor([6.0]), 4, 5.0)[1].item() == 0.0


def test_gradients_are_finite_for_atoms_of_high_symmetry(network):
    species = torch.tensor([11, 17])
    coords = torch.tensor([[0.0, 0, 0], [0.5, 0.5, 0.5]], dtype=torch.float64)
    lattice = torch.eye(3, dtype=torch.float64)[None] * 4.1
    found = network(species, coords, lattice, torch.tensor([2]))
    assert found.displacement.abs().max() < 1e-12
    assert torch.allclose(found.strain[0], found.strain[0, 0, 0] * torch.eye(3).double())
    (found.strain.square().sum() + found.displacement.square().sum()).backward()
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert grads and all(torch.isfinite(grad).all() for grad in grads)
    network.zero_grad()


def test_the_time_counts_only_where_it_is_an_input():
    species, coords, lattice = crystal(5)
    timed = EquivariantNetwork(EquivariantConfig(hidden=16, layers=1, basis=4, timed=True)).double()
    count = torch.tensor([len(species)])
    with torch.no_grad():
        early, late = (
            timed(species, coords, lattice, count, torch.tensor([t], dtype=torch.float64))
            for t in (0.1, 0.9)
        )
    assert (early.displacement - late.displacement).abs().max() > 1e-6
    with pytest.raises(InputError, match="time"):
        timed(species, coords, lattice, count)


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"layers": 0}, {"basis": 0}, {"cutoff": 0.0}])
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        EquivariantConfig(**wrong)
