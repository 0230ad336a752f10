"""CHGNet in batches against chgnet itself, finite differences, and crystals it can't take."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.relax import ChgnetPotential, evaluate
from flowllm.relax import potential as potential_module
from flowllm.relax.graphs import find_bonds, join_bonds
from flowllm.relax.potential import groups_within

GPA = 160.21766208  # GPa in an eV/Å^3
ROCK_SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(3.99, 3.99, 3.99)], [(60, 60, 60)], [2], ["NaCl"]
)


def cubic(edge: float, numbers: list[int], coords: list) -> CrystalBatch:
    return CrystalBatch(numbers, coords, [[edge] * 3], [[90] * 3], [len(numbers)], ["made up"])


@pytest.fixture(scope="module")
def chgnet():
    from chgnet.model import CHGNet

    return CHGNet.load(use_device="cpu", verbose=False)


@pytest.mark.data
def test_a_batch_equals_chgnet_one_by_one(several, chgnet):
    result = evaluate(several)
    assert result.reasons == ("",) * len(several)
    ends = np.cumsum(several.num_atoms)
    for index, structure in enumerate(several.to_pymatgen()):
        expected = chgnet.predict_structure(structure)
        count = len(structure)
        assert result.energies[index] / count == pytest.approx(float(expected["e"]), abs=1e-5)
        forces = result.forces[ends[index] - count : ends[index]]
        np.testing.assert_allclose(forces, expected["f"], atol=2e-4)
        np.testing.assert_allclose(GPA * result.stresses[index], expected["s"], atol=5e-3)


@pytest.mark.data
def test_the_graph_has_the_edges_and_angles_of_chgnet_s_converter(several, chgnet):
    lattices, cells = several.lattices, list(several)
    for index, structure in enumerate(several.to_pymatgen()):
        expected = chgnet.graph_converter(structure)
        bonds = find_bonds(cells[index].frac_coords, lattices[index])
        graph = join_bonds([bonds])
        assert 2 * len(graph.first) == len(expected.atom_graph)
        assert 2 * len(graph.pairs) == bonds.num_angles == len(expected.bond_graph)
        degrees = np.bincount(np.concatenate([graph.first, graph.second]))
        np.testing.assert_array_equal(degrees, np.bincount(expected.atom_graph[:, 0]))


@pytest.mark.data
def test_joined_graphs_are_those_of_the_parts(several):
    bonds = [find_bonds(c.frac_coords, c.lattices[0]) for c in several[[7, 0, 3]]]
    joined = join_bonds(bonds)
    assert len(joined.first) == sum(len(part.first) for part in bonds)
    assert 2 * len(joined.pairs) == sum(part.num_angles for part in bonds)
    starts = np.concatenate([joined.first[: joined.short], joined.second[: joined.short]])
    assert (starts[joined.pairs[:, 0]] == starts[joined.pairs[:, 1]]).all()
    assert (joined.pairs[:, 0] != joined.pairs[:, 1]).all()
    lengths = np.linalg.norm(joined.vectors, axis=1)
    assert lengths[: joined.short].max() < 3 <= lengths[joined.short :].min()


@pytest.mark.data
def test_forces_and_stress_are_derivatives_of_the_energy(several):
    crystal, exact = several[4], ChgnetPotential(double=True)
    lattice = crystal.lattices
    coords = crystal.frac_coords + 0.01 * np.sin(np.arange(15)).reshape(5, 3)
    numbers, counts = crystal.atomic_numbers, crystal.num_atoms
    result = exact(numbers, coords, lattice, counts)
    step = 1e-4

    def slope(move: np.ndarray, strain: np.ndarray) -> float:
        ends = []
        for sign in (1, -1):
            cell = lattice @ (np.eye(3) + sign * strain)
            moved = coords + sign * move @ np.linalg.inv(lattice[0])
            ends.append(exact(numbers, moved, cell, counts).energies[0])
        return (ends[0] - ends[1]) / (2 * step)

    for atom, axis in ((0, 0), (1, 2), (4, 1)):
        move = np.zeros((5, 3))
        move[atom, axis] = step
        assert -slope(move, np.zeros((3, 3))) == pytest.approx(result.forces[atom, axis], abs=1e-5)
    volume = np.linalg.det(lattice[0])
    for one, other in ((0, 0), (1, 2), (2, 0)):
        strain = np.zeros((3, 3))
        strain[one, other] += step / 2
        strain[other, one] += step / 2
        stress = slope(np.zeros((5, 3)), strain) / volume
        assert stress == pytest.approx(result.stresses[0, one, other], abs=1e-6)


@pytest.mark.data
def test_turning_a_crystal_turns_its_forces(several):
    crystal = several[5]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    numbers, counts = crystal.atomic_numbers, crystal.num_atoms
    potential = ChgnetPotential(double=True)
    coords = crystal.frac_coords + 0.02 * np.cos(np.arange(18)).reshape(6, 3)
    still = potential(numbers, coords, crystal.lattices, counts)
    turned = potential(numbers, coords - 3, crystal.lattices @ turn, counts)
    np.testing.assert_allclose(turned.energies, still.energies, atol=1e-9)
    np.testing.assert_allclose(turned.forces, still.forces @ turn, atol=1e-9)
    np.testing.assert_allclose(turned.stresses[0], turn.T @ still.stresses[0] @ turn, atol=1e-9)


CENTRED = [(0, 0, 0), (0.5, 0.5, 0.5)]
BAD = {
    "an atom's type is open": ROCK_SALT.replace(atomic_numbers=[0, 17]),
    "CHGNet does not cover element 95": ROCK_SALT.replace(atomic_numbers=[11, 95]),
    "atoms have no neighbours within 6 Å": cubic(20, [11, 17, 18], [*CENTRED, (0.6, 0.5, 0.5)]),
    "atoms lie on top of each other": cubic(4, [11, 17], [(0.2, 0, 0), (0.2, 0, 0)]),
    "its cell has only 0.032 Å^3 per atom": cubic(0.4, [11, 17], CENTRED),
    "its cell is 0.01 Å thick": CrystalBatch(
        [11, 17], CENTRED, [(0.01, 0.01, 1e6)], [(90, 90, 90)], [2], ["needle"]
    ),
}


def test_crystals_that_chgnet_cannot_take_are_named_and_stop_no_other():
    batch = CrystalBatch.concatenate([*BAD.values(), ROCK_SALT])
    result = evaluate(batch)
    assert result.reasons == (*BAD, "")
    assert np.isnan(result.energies).tolist() == [True] * len(BAD) + [False]
    assert result.energies[-1] == pytest.approx(evaluate(ROCK_SALT).energies[0], abs=1e-4)
    assert np.isfinite(result.forces[-2:]).all() and np.isfinite(result.stresses[-1]).all()


def test_atoms_in_a_heap_are_refused_before_memory_runs_out():
    sheet = np.random.default_rng(0).random((20, 3)) * [1, 1, 0.04]
    heap = CrystalBatch([26] * 20, sheet, [(2, 2, 40)], [(90, 90, 90)], [20], ["heap"])
    (reason,) = evaluate(heap).reasons
    assert reason.startswith("its atoms lie so close that they form")


def test_coordinates_that_are_not_finite_are_named():
    c = ROCK_SALT
    coords = c.frac_coords.copy()
    coords[1, 2] = np.nan
    result = ChgnetPotential()(c.atomic_numbers, coords, c.lattices, c.num_atoms)
    assert result.reasons == ("a coordinate is not finite",)


@pytest.mark.data
def test_evaluated_in_parts_where_there_are_too_many_angles(several, monkeypatch):
    whole = evaluate(several)
    angles = [find_bonds(c.frac_coords, c.lattices[0]).num_angles for c in several]
    monkeypatch.setattr(potential_module, "MAX_ANGLES", max(angles))
    parts = evaluate(several)
    np.testing.assert_allclose(parts.energies, whole.energies, atol=1e-4)
    np.testing.assert_allclose(parts.forces, whole.forces, atol=2e-4)


def test_groups_keep_the_order_and_the_limit():
    assert groups_within({3: 5, 4: 5, 7: 1, 9: 20, 11: 2}, 10) == [[3, 4], [7], [9], [11]]
    assert groups_within({}, 10) == []


def test_no_crystals():
    result = evaluate(CrystalBatch.empty())
    assert result.energies.shape == (0,) and result.forces.shape == (0, 3)
