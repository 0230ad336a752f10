"""Shortest distances against pymatgen's neighbour search, in cells of any shape."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import pair_blocks, shortest_distances


def one(coords, lengths, angles):
    return CrystalBatch([11] * len(coords), coords, [lengths], [angles], [len(coords)], ["x"])


@st.composite
def triclinic(draw):
    """A crystal of 1 to 4 atoms in a cell that is often far from reduced."""
    length = st.floats(0.4, 6.0)
    angle = st.floats(25.0, 155.0)
    lengths, angles = draw(st.tuples(length, length, length)), draw(st.tuples(angle, angle, angle))
    frac = st.tuples(*[st.floats(0, 0.999)] * 3)
    return one(draw(st.lists(frac, min_size=1, max_size=4)), lengths, angles)


def by_pymatgen(crystal, cutoff, self_images):
    """The shortest distance by `get_all_neighbors` (images of the same atom by their index)."""
    structure = Structure(
        Lattice(crystal.lattices[0]), [11] * len(crystal.frac_coords), crystal.frac_coords
    )
    found = [
        neighbour.nn_distance
        for index, row in enumerate(structure.get_all_neighbors(cutoff, numerical_tol=1e-12))
        for neighbour in row
        if self_images or neighbour.index != index
    ]
    # get_all_neighbors leaves out an atom at the very same place
    for i in range(len(structure)):
        for j in range(i):
            if structure.get_distance(i, j) < 1e-6:
                found.append(0.0)
    return min(found, default=np.inf)


@settings(max_examples=60, deadline=None)
@given(crystal=triclinic(), cutoff=st.sampled_from([0.5, 1.5]), self_images=st.booleans())
def test_equals_pymatgen_in_random_triclinic_cells(crystal, cutoff, self_images):
    if crystal.volumes[0] < 0.05 * crystal.lengths.prod():
        return
    ours = shortest_distances(crystal, cutoff, self_images)[0]
    theirs = by_pymatgen(crystal, cutoff, self_images)
    if min(ours, theirs) < cutoff - 1e-9:
        assert ours == pytest.approx(theirs, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    angles=st.tuples(*[st.floats(50, 125)] * 3), length=st.floats(0.3, 3), shear=st.integers(0, 4)
)
def test_self_image_is_the_shortest_lattice_vector(angles, length, shear):
    cell = one([(0.3, 0.1, 0.7)], (length, 2.0, 3.0), angles)
    if cell.volumes[0] < 0.2 * cell.lengths.prod():
        return
    matrix = cell.lattices[0].copy()
    matrix[2] += shear * matrix[0]  # the same lattice, by a more skewed cell
    skewed = Lattice(matrix)
    crystal = one([(0.3, 0.1, 0.7)], skewed.abc, skewed.angles)
    points = skewed.get_points_in_sphere([[0, 0, 0]], [0, 0, 0], 3.2)
    shortest = min(d for _, d, *_ in points if d > 1e-8)
    assert shortest_distances(crystal, 3.2)[0] == pytest.approx(shortest, abs=1e-6)


def test_thin_cells_are_reduced_first():
    thin = one([(0, 0, 0), (0.5, 0.5, 0.5)], (0.02, 30.0, 30.0), (90, 90, 90))
    assert shortest_distances(thin, 0.5)[0] == pytest.approx(0.02)
    assert shortest_distances(thin, 0.5, self_images=False)[0] == np.inf
    near = one([(0, 0, 0), (0.5, 0.01, 0)], (0.02, 30.0, 30.0), (90, 90, 90))
    expected = np.hypot(0.01, 0.3)
    assert shortest_distances(near, 0.5, self_images=False)[0] == pytest.approx(expected)


def test_batch_equals_one_by_one_and_orders_do_not_matter():
    rng = np.random.default_rng(0)
    parts = [
        one(rng.random((n, 3)), rng.uniform(0.8, 4, 3), rng.uniform(60, 110, 3))
        for n in rng.integers(1, 6, 40)
    ]
    batch = CrystalBatch.concatenate(parts)
    together = shortest_distances(batch, 1.2)
    assert np.isfinite(together).sum() > 10
    np.testing.assert_allclose(together, [shortest_distances(p, 1.2)[0] for p in parts])


def test_no_volume_gives_nan_and_an_empty_batch_nothing():
    flat = one([(0, 0, 0)], (3, 3, 3), (60, 60, 120))
    sound = one([(0, 0, 0)], (0.4, 3, 3), (90, 90, 90))
    result = shortest_distances(CrystalBatch.concatenate([flat, sound]), 0.5)
    assert np.isnan(result[0]) and result[1] == pytest.approx(0.4)
    assert shortest_distances(CrystalBatch.empty(), 0.5).shape == (0,)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 20])
@pytest.mark.parametrize("most", [1, 5, 6, 1000])
def test_blocks_hold_every_pair_once(count, most):
    blocks = list(pair_blocks(count, most))
    found = [np.concatenate(part) for part in zip(*blocks, strict=True)] if blocks else [[], []]
    expected = np.triu_indices(count, 1)
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])
    assert all(len(first) <= max(most, count - 1) for first, _ in blocks)


def test_a_large_crystal_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr("flowllm.crystals.distances.pair_blocks", partial(pair_blocks, most=20_000))
    monkeypatch.setattr("flowllm.crystals.distances.CHUNK", 20_000)
    axis = np.arange(11) / 11
    coords = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)  # 1,331 atoms, 3 Å apart
    coords[700] += 2.0 / 33
    tracemalloc.start()
    try:
        found = shortest_distances(one(coords, (33.0,) * 3, (90,) * 3), 3.0)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20  # all pairs would take 200
    finally:
        tracemalloc.stop()
    assert found[0] == pytest.approx(np.sqrt(3.0), abs=1e-6)
