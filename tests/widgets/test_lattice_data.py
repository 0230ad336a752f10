"""Cells in the parametrisations of the flow: known values, paths, and cells that are none."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import CELL_MAPS, cell_map
from flowllm_widgets.lattice.data import (
    ANGLES,
    MAPS,
    PRINTED,
    Cell,
    curve,
    flat,
    held,
    interpolate,
    slopes,
)

CUBE = Cell((4.0, 4.0, 4.0), (90.0, 90.0, 90.0))
HEXAGONAL = Cell((5.0, 5.0, 8.0), (90.0, 90.0, 120.0))
length = st.floats(2, 12)
angle = st.floats(61, 119)
cells = st.builds(Cell, st.tuples(length, length, length), st.tuples(angle, angle, angle))


def one(value: float) -> np.ndarray:
    return np.array([value])


# ---- the maps ---------------------------------------------------------------------------------


def test_the_maps_are_those_of_the_package_and_the_misprint():
    assert set(MAPS) == {*CELL_MAPS, PRINTED}
    for name in CELL_MAPS:
        assert MAPS[name] is cell_map(name)


def test_a_right_angle_is_the_zero_of_every_map_but_the_printed_one():
    for name in CELL_MAPS:
        for which in range(3):
            assert curve(name, CUBE, which, one(90.0))[0] == pytest.approx(0, abs=1e-9)
    assert curve(PRINTED, CUBE, 0, one(90.0))[0] == pytest.approx(np.log(30 / 90))


def test_the_printed_formula_takes_120_to_0_and_its_inverse_reaches_180():
    assert curve(PRINTED, CUBE, 2, one(120.0))[0] == pytest.approx(0, abs=1e-9)
    _, angles = MAPS[PRINTED].from_flat(torch.tensor([[4.0, 4.0, 4.0, 0.0, 0.0, 20.0]]))
    assert angles[0, 2] == pytest.approx(180.0, abs=1e-4)
    for name in ("flowmm", "logit"):
        _, angles = MAPS[name].from_flat(torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 20.0]]))
        assert angles[0, 2] < 130.1


def test_slopes_of_the_logit_maps_are_those_of_the_logistic_function():
    for name, low, high in (("flowmm", 59.9, 120.1), ("logit", 50, 130), (PRINTED, 60, 180)):
        for eta in (75.0, 90.0, 119.0):
            share = (eta - low) / (high - low)
            expected = 1 / (share * (1 - share) * (high - low))
            assert slopes(name, HEXAGONAL, 0, one(eta))[0] == pytest.approx(expected, rel=1e-3)


def test_120_degrees_is_steep_in_flowmm_and_hardly_more_than_a_right_angle_in_log_matrix():
    steep = {
        name: float(slopes(name, HEXAGONAL, 2, one(120.0))[0] / slopes(name, CUBE, 2, one(90.0))[0])
        for name in CELL_MAPS
    }
    assert steep["flowmm"] > 100 > steep["logit"] > steep["log-matrix"] > 1
    assert steep["log-matrix"] < 1.5


def test_log_matrix_has_no_value_where_the_angles_span_no_volume():
    flat_cell = Cell((4.0, 4.0, 4.0), (60.0, 60.0, 90.0))
    values = curve("log-matrix", flat_cell, 2, np.array([90.0, 119.0, 121.0, 150.0]))
    assert np.isfinite(values).tolist() == [True, True, False, False]
    assert np.isfinite(curve("flowmm", flat_cell, 2, np.array([121.0]))).all()
    assert np.isnan(slopes("log-matrix", flat_cell, 2, one(130.0))[0])


@given(cells, st.sampled_from(sorted(CELL_MAPS)), st.integers(0, 2))
def test_a_curve_passes_through_the_cells_own_coordinate(cell, name, which):
    assume(cell.volume > 0.05 * np.prod(cell.lengths))
    value = curve(name, cell, which, one(cell.angles[which]))[0]
    assert value == pytest.approx(flat(name, cell)[3 + which], abs=1e-9)


def test_another_map_is_refused():
    with pytest.raises(InputError, match="unknown cell parametrisation"):
        flat("polar", CUBE)


# ---- paths ------------------------------------------------------------------------------------


@given(cells, cells, st.sampled_from(sorted(CELL_MAPS)))
def test_a_path_begins_and_ends_at_the_two_cells(start, target, name):
    assume(min(c.volume / np.prod(c.lengths) for c in (start, target)) > 0.05)
    path = interpolate(name, start, target, np.array([0.0, 0.5, 1.0]))
    for index, cell in ((0, start), (2, target)):
        np.testing.assert_allclose(path.lengths[index], cell.lengths, rtol=1e-4)
        np.testing.assert_allclose(path.angles[index], cell.angles, atol=0.02)
    assert path.lengths.shape == path.angles.shape == (3, 3)


@given(cells, cells)
def test_in_log_matrix_every_cell_on_the_way_spans_a_volume_and_its_logarithm_is_linear(
    start, target
):
    assume(min(c.volume / np.prod(c.lengths) for c in (start, target)) > 0.05)
    path = interpolate("log-matrix", start, target, np.linspace(0, 1, 5))
    assert (path.volumes > 0).all()
    np.testing.assert_allclose(np.diff(np.log(path.volumes), 2), 0, atol=1e-6)


def test_a_straight_line_in_log_matrix_between_cubes_grows_geometrically():
    path = interpolate("log-matrix", CUBE, Cell((9.0,) * 3, (90.0,) * 3), np.array([0.5]))
    np.testing.assert_allclose(path.lengths, 6.0, rtol=1e-9)
    line = interpolate("flowmm", CUBE, Cell((9.0,) * 3, (90.0,) * 3), np.array([0.5]))
    np.testing.assert_allclose(line.lengths, 6.5, rtol=1e-9)


def test_in_flowmm_an_angle_near_120_runs_ahead_of_the_others():
    start = Cell((5.0, 5.0, 8.0), (90.0, 90.0, 100.0))
    middle = {
        name: interpolate(name, start, HEXAGONAL, np.array([0.5])).angles[0, 2]
        for name in CELL_MAPS
    }
    assert middle["flowmm"] > 116 > middle["logit"] > middle["log-matrix"] > 109


def test_the_way_back_is_the_same():
    there = interpolate("log-matrix", CUBE, HEXAGONAL, np.linspace(0, 1, 7))
    back = interpolate("log-matrix", HEXAGONAL, CUBE, np.linspace(0, 1, 7))
    np.testing.assert_allclose(there.angles, back.angles[::-1], atol=1e-9)


def test_a_map_says_which_cells_it_cannot_hold():
    wide = Cell((5.0, 5.0, 5.0), (90.0, 90.0, 140.0))
    back, same = held("flowmm", wide)
    assert not same and back.angles[2] == pytest.approx(120.1, abs=0.01)
    assert held("log-matrix", wide)[1] and held(PRINTED, wide)[1]
    assert all(held(name, HEXAGONAL)[1] for name in MAPS)


# ---- cells that are none ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("angles", "says"),
    [
        ((60.0, 50.0, 115.0), "γ = 115° must be below α + β = 110°"),
        ((130.0, 60.0, 65.0), "α = 130° must be below β + γ = 125°"),
        ((120.0, 120.0, 120.0), "α + β + γ = 360° must be below 360°"),
        ((140.0, 130.0, 110.0), "α + β + γ = 380° must be"),
    ],
)
def test_impossible_angles_are_explained(angles, says):
    cell = Cell((4.0, 4.0, 4.0), angles)
    assert says in cell.problem
    with pytest.raises(InputError, match="no such cell"):
        interpolate("logit", CUBE, cell, np.array([0.5]))


def test_a_cell_without_volume_has_no_edges():
    with pytest.raises(InputError, match="zero volume"):
        _ = Cell((4.0, 4.0, 4.0), (60.0, 50.0, 115.0)).edges


@given(st.tuples(*[st.floats(30, 150)] * 3))
def test_a_cell_has_a_problem_exactly_if_it_is_flat(angles):
    cell = Cell((3.0, 4.0, 5.0), angles)
    assert (cell.volume > 1e-5 * 60) == (cell.problem == "")
    largest = max(angles)
    if sum(angles) > 360 or largest > sum(angles) - largest:
        assert cell.problem


def test_a_cell_comes_from_a_crystal_and_draws_its_edges():
    crystals = CrystalBatch([1], [(0, 0, 0)], [(3, 4, 5)], [(80, 95, 100)], [1], "a")
    cell = Cell.of(crystals)
    assert cell == Cell((3.0, 4.0, 5.0), (80.0, 95.0, 100.0))
    assert cell.volume == pytest.approx(crystals.volumes[0])
    sizes = np.linalg.norm(cell.edges[:, 1] - cell.edges[:, 0], axis=-1)
    np.testing.assert_allclose(np.sort(sizes), [3] * 4 + [4] * 4 + [5] * 4)
    assert len(ANGLES) == 3
