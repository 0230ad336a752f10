"""Cell parametrisations: round trips at the corners of the range, and which is the best."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays

from flowllm.crystals.cells import lattice_matrices
from flowllm.errors import InputError
from flowllm.manifolds import (
    CELL_MAPS,
    DEFAULT_CELL_MAP,
    cell_map,
    metric_tensor,
)
from flowllm.teaching.lattice_maps import parametrisation_errors

CELLS = {
    "cubic": ((4.0, 4.0, 4.0), (90.0, 90.0, 90.0)),
    "hexagonal": ((3.2, 3.2, 5.1), (90.0, 90.0, 120.0)),
    "hexagonal, acute": ((3.2, 3.2, 5.1), (90.0, 90.0, 60.0)),
    "rhombohedral, fcc": ((2.9, 2.9, 2.9), (60.0, 60.0, 60.0)),
    "bcc": ((2.7, 2.7, 2.7), (109.4712206, 109.4712206, 109.4712206)),
    "triclinic": ((3.1, 5.7, 17.4), (63.2, 88.1, 104.9)),
}


@pytest.fixture
def real_cells(mp20_crystals):
    """(lengths, angles) of real reduced cells, angles within what FlowMM's bounds can express."""
    angles = mp20_crystals.angles
    inside = ((angles >= 59.99) & (angles <= 120.01)).all(1)
    return torch.from_numpy(mp20_crystals.lengths[inside]), torch.from_numpy(angles[inside])


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("name", CELL_MAPS)
def test_cells_at_the_bounds_come_back(name, cell):
    lengths, angles = (torch.tensor([part], dtype=torch.float64) for part in cell)
    flat = cell_map(name).to_flat(lengths, angles)
    assert flat.shape == (1, 6) and torch.isfinite(flat).all()
    got_lengths, got_angles = cell_map(name).from_flat(flat)
    assert (got_lengths - lengths).abs().max() < 1e-9
    assert (got_angles - angles).abs().max() < 1e-7


@pytest.mark.parametrize("name", CELL_MAPS)
def test_real_cells_come_back_in_float32(name, real_cells):
    lengths, angles = (part.float() for part in real_cells)
    got_lengths, got_angles = cell_map(name).from_flat(cell_map(name).to_flat(lengths, angles))
    assert got_lengths.dtype == torch.float32
    assert ((got_lengths - lengths) / lengths).abs().max() < 1e-5
    assert (got_angles - angles).abs().max() < 2e-3


@pytest.mark.parametrize("name", CELL_MAPS)
def test_the_metric_is_that_of_the_lattice(name, real_cells):
    lengths, angles = (part[:20] for part in real_cells)
    lattices = torch.from_numpy(lattice_matrices(lengths.numpy(), angles.numpy()))
    expected = lattices @ lattices.transpose(1, 2)
    assert torch.allclose(metric_tensor(lengths, angles), expected, atol=1e-9)
    metric = cell_map(name).metric(cell_map(name).to_flat(lengths, angles))
    assert torch.allclose(metric, expected, atol=1e-5)


@given(arrays(np.float64, (5, 6), elements=st.floats(-6, 6)))
def test_every_point_is_a_cell_under_the_matrix_logarithm(values):
    lengths, angles = cell_map("log-matrix").from_flat(torch.from_numpy(values))
    assert torch.isfinite(lengths).all() and (lengths > 0).all()
    assert (angles > 0).all() and (angles < 180).all()


@given(arrays(np.float64, (5, 6), elements=st.floats(-1, 1)))
def test_moderate_points_have_positive_volume_and_come_back(values):
    flat = torch.from_numpy(values)
    lengths, angles = cell_map("log-matrix").from_flat(flat)
    assert (torch.linalg.det(metric_tensor(lengths, angles)) > 0).all()
    assert torch.allclose(cell_map("log-matrix").to_flat(lengths, angles), flat, atol=1e-6)


def test_the_trace_is_the_logarithm_of_the_volume():
    lengths, angles = (
        torch.tensor([[3.1, 5.7, 17.4]]).double(),
        torch.tensor([[63.2, 88.1, 104.9]]).double(),
    )
    volume = torch.linalg.det(metric_tensor(lengths, angles)).sqrt()
    trace = cell_map("log-matrix").to_flat(lengths, angles)[:, :3].sum()
    assert trace.item() == pytest.approx(math.log(volume.item()))


def test_the_midpoint_of_two_cells_does_not_depend_on_the_order_of_axes():
    first = (torch.tensor([[3.0, 4.0, 5.0]]).double(), torch.tensor([[80.0, 95.0, 110.0]]).double())
    second = (torch.tensor([[6.0, 3.5, 4.0]]).double(), torch.tensor([[90.0, 60.0, 75.0]]).double())
    order = [2, 0, 1]

    def middle(x, y):
        chart = cell_map("log-matrix")
        return chart.from_flat((chart.to_flat(*x) + chart.to_flat(*y)) / 2)

    straight = middle(first, second)
    turned = middle(*(tuple(part[:, order] for part in cell) for cell in (first, second)))
    for a, b in zip(straight, turned, strict=True):
        assert torch.allclose(a[:, order], b)


def test_angles_beyond_the_bounds_stay_finite():
    lengths = torch.tensor([[3.0, 4.0, 5.0]]).double()
    angles = torch.tensor([[40.0, 60.0, 140.0]]).double()
    for name in ("flowmm", "logit"):
        flat = cell_map(name).to_flat(lengths, angles)
        assert torch.isfinite(flat).all()


def test_logits_follow_the_corrected_formula():
    lengths, angles = (
        torch.tensor([[3.0, 4.0, 5.0]]).double(),
        torch.tensor([[60.0, 90.0, 120.0]]).double(),
    )
    flat = cell_map("flowmm").to_flat(lengths, angles)[0]
    share = (60.0 - 59.9) / 60.2
    assert flat[3].item() == pytest.approx(math.log(share / (1 - share)))
    assert flat[4].item() == pytest.approx(0.0, abs=1e-12)
    assert flat[5].item() == pytest.approx(-flat[3].item())


def test_an_unknown_parametrisation_names_the_known_ones():
    with pytest.raises(InputError, match="log-matrix"):
        cell_map("cosine")


def test_the_default_leaves_the_smallest_errors_on_real_cells(real_cells):
    errors = parametrisation_errors(*real_cells, noise=0.1)
    best, others = errors[DEFAULT_CELL_MAP], [v for k, v in errors.items() if k != DEFAULT_CELL_MAP]
    assert all(best["angle"] < other["angle"] for other in others)
    assert all(best["angle_p95"] < other["angle_p95"] for other in others)
    # Lengths are as good as with their plain logarithms, and better than in Å.
    assert best["length"] < 1.05 * min(other["length"] for other in others)
    assert best["length"] < errors["flowmm"]["length"]
    assert best["invalid"] == 0


def test_without_noise_there_is_no_error(real_cells):
    for values in parametrisation_errors(*real_cells, noise=0.0).values():
        assert values["angle"] < 1e-6 and values["length"] < 1e-9
