"""FIRE and the cell's coordinates against ASE and a potential with a known minimum."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.relax.optimizer import Deformable, Fire
from tests.relax.artificial import Springs, shaken, target

POTENTIAL = Springs()


def evaluation(shape: Deformable):
    numbers = shape.crystal.atomic_numbers
    return POTENTIAL(numbers, shape.frac_coords, shape.lattice[None], shape.crystal.num_atoms)


class AseSprings(Calculator):
    """The same potential as ASE asks for it."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=(), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        coords = np.linalg.solve(atoms.cell[:].T, atoms.positions.T).T
        counts = np.array([len(atoms)])
        found = POTENTIAL(atoms.numbers, coords, atoms.cell[:][None], counts)
        self.results = {
            "energy": found.energies[0],
            "free_energy": found.energies[0],
            "forces": found.forces,
            "stress": found.stresses[0],
        }


@pytest.mark.parametrize("relax_cell", [True, False])
def test_each_step_is_that_of_ase(relax_cell):
    crystal = shaken(5, 1, "five")
    shape, fire = Deformable(crystal, relax_cell), Fire()
    atoms = Atoms("C5", cell=crystal.lattices[0], scaled_positions=crystal.frac_coords, pbc=True)
    atoms.calc = AseSprings()
    reference = FIRE(FrechetCellFilter(atoms) if relax_cell else atoms, logfile=None)
    for _ in range(40):
        found = evaluation(shape)
        shape.move(fire.step(shape.forces(found.forces, found.stresses[0])))
        reference.step()
        np.testing.assert_allclose(shape.lattice, atoms.cell[:], atol=1e-9)
        np.testing.assert_allclose(shape.frac_coords @ shape.lattice, atoms.positions, atol=1e-9)
    assert fire.dt == pytest.approx(reference.dt)


def test_it_finds_the_known_minimum_of_atoms_and_cell():
    shape, fire = Deformable(shaken(4, 2, "four")), Fire()
    for _ in range(600):
        found = evaluation(shape)
        shape.move(fire.step(shape.forces(found.forces, found.stresses[0])))
    assert found.energies[0] < 1e-10
    end = shape.as_crystal()
    np.testing.assert_allclose(end.lengths, target(4).lengths, atol=1e-4)
    np.testing.assert_allclose(end.angles, target(4).angles, atol=1e-3)
    np.testing.assert_allclose(end.frac_coords, target(4).frac_coords, atol=1e-4)
    assert end.ids.tolist() == ["four"]


def test_forces_on_the_cell_are_derivatives_by_the_logarithm_of_the_strain():
    shape = Deformable(shaken(3, 3, "three"))
    rng = np.random.default_rng(0)
    shape.move(np.concatenate([rng.normal(0, 0.05, (3, 3)), rng.normal(0, 0.2, (3, 3))]))
    found = evaluation(shape)
    forces = shape.forces(found.forces, found.stresses[0])
    step = 1e-5
    for row, column in ((0, 0), (2, 1), (3, 0), (4, 2), (5, 1)):
        ends = []
        for sign in (1, -1):
            move = np.zeros((6, 3))
            move[row, column] = sign * step
            shape.move(move)
            ends.append(evaluation(shape).energies[0])
            shape.move(-move)
        assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(forces[row, column], abs=1e-6)


def test_a_cell_that_is_held_stays():
    crystal = shaken(3, 4, "three")
    shape, fire = Deformable(crystal, relax_cell=False), Fire()
    for _ in range(20):
        found = evaluation(shape)
        shape.move(fire.step(shape.forces(found.forces, found.stresses[0])))
    np.testing.assert_array_equal(shape.lattice, crystal.lattices[0])


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=30), st.integers(0, 5))
def test_no_step_is_longer_than_the_limit(values, turns):
    fire = Fire()
    for turn in range(turns + 1):
        forces = np.array(values) * (-1) ** (turn // 2)
        assert np.linalg.norm(fire.step(forces)) <= Fire.MAX_STEP + 1e-12


def test_uphill_stops_it_and_shortens_the_step():
    fire = Fire()
    fire.step(np.array([1.0, 0.0]))
    np.testing.assert_allclose(fire.step(np.array([-1.0, 0.0])), [-0.0025, 0.0])
    assert fire.dt == 0.05 and fire.downhill == 0


def test_no_force_is_no_step():
    assert not Fire().step(np.zeros((4, 3))).any()


def test_a_flat_cell_is_an_error():
    flat = CrystalBatch([6], [(0, 0, 0)], [(4, 4, 4)], [(60, 60, 120)], [1], ["flat"])
    with pytest.raises(InputError, match="zero volume"):
        Deformable(flat)
