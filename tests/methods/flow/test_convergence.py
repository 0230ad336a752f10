"""Errors of the integration: distances that are known, and how they fall with the steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.flow import FlowRefiner, RefineSettings
from flowllm.methods.flow.ode import SOLVERS
from flowllm.teaching.convergence import EVALUATIONS, displacements, solver_errors, strains

pytestmark = pytest.mark.slow

CUBE = CrystalBatch([11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(90, 90, 90)], [2], ["a"])


@pytest.fixture
def refiner(small_velocity):
    return FlowRefiner(small_velocity, device="cpu")


def test_one_atom_of_two_moved_through_the_face_counts_the_short_way():
    moved = CUBE.replace(frac_coords=[(0.9, 0, 0), (0.5, 0.5, 0.5)])
    assert displacements(moved, CUBE) == pytest.approx([0.4 / np.sqrt(2)])


def test_a_move_along_a_skewed_axis_is_as_long_as_the_axis():
    skewed = CUBE.replace(lengths=[(4, 7, 4)], angles=[(60, 75, 80)])
    moved = skewed.replace(frac_coords=skewed.frac_coords + np.array([0, 0.1, 0]))
    assert displacements(moved, skewed) == pytest.approx([0.7])


def test_a_stretch_of_one_axis_is_its_logarithm():
    assert strains(CUBE.replace(lengths=[(4.4, 4, 4)]), CUBE) == pytest.approx([np.log(1.1)])
    assert strains(CUBE, CUBE) == pytest.approx([0.0])


@given(st.lists(st.floats(-0.49, 0.49), min_size=3, max_size=3))
def test_a_displacement_is_the_same_in_both_directions(shift):
    moved = CUBE.replace(frac_coords=CUBE.frac_coords + np.array([[0, 0, 0], shift]))
    expected = 4 * np.linalg.norm(shift) / np.sqrt(2)
    assert displacements(moved, CUBE) == pytest.approx([expected], abs=1e-9)
    assert displacements(CUBE, moved) == pytest.approx([expected], abs=1e-9)


def test_more_steps_come_nearer_and_the_fine_solution_errs_by_nothing(refiner, real_crystals):
    fine = RefineSettings(steps=30, solver="rk4")
    tried = [RefineSettings(steps=n) for n in (1, 4, 16)]
    results = solver_errors(refiner, real_crystals[:8], [*tried, fine], fine)
    assert [r.evaluations for r in results] == [1, 4, 16, 120]
    mean = [r.displacements.mean() for r in results]
    stretch = [r.strains.mean() for r in results]
    for errors in (mean, stretch):
        assert errors[0] > errors[1] > errors[2] > 0
    assert mean[3] == stretch[3] == 0
    for result, settings in zip(results, [*tried, fine], strict=True):
        assert result.settings == settings
        assert np.array_equal(result.crystals.ids, real_crystals.ids[:8])
        assert result.displacements.shape == result.strains.shape == (8,)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_evaluations_are_those_that_the_solver_asks_for(refiner, real_crystals, solver):
    asked = []
    refiner.velocity.register_forward_hook(lambda *_: asked.append(1))
    refiner.refine(real_crystals[:3], RefineSettings(steps=3, solver=solver))
    assert len(asked) == 3 * EVALUATIONS[solver]
