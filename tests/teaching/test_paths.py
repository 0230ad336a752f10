"""The training path as a trajectory: its ends, its speed, and the short way around."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import CELL_MAPS
from flowllm.methods.flow.couplings.alignment import align, squared_torus_distances
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.teaching.paths import conditional_path

TARGET = CrystalBatch(
    [11, 17, 14],
    [(0.02, 0.1, 0.5), (0.5, 0.5, 0.5), (0.9, 0.3, 0.2)],
    [(4, 4, 5), (3, 4, 5)],
    [(90, 90, 120), (80, 95, 75)],
    [2, 1],
    ["a", "b"],
)
SAMPLE = TARGET.replace(
    frac_coords=[(0.98, 0.1, 0.5), (0.7, 0.5, 0.4), (0.9, 0.4, 0.2)],
    lengths=[(4.4, 4, 5), (3, 4.2, 5)],
    angles=[(85, 90, 110), (90, 90, 90)],
)
PAIRS = PairSet(SAMPLE, TARGET)


@pytest.fixture
def noisy_pairs(mp20_crystals) -> PairSet:
    """120 real crystals, each paired with a noisy copy."""
    c1 = mp20_crystals[:120]
    noise = 0.03 * np.random.default_rng(0).standard_normal(c1.frac_coords.shape)
    return PairSet(align(c1.replace(frac_coords=c1.frac_coords + noise), c1), c1)


def torus_difference(one: np.ndarray, other: np.ndarray) -> float:
    return np.abs((one - other) - np.round(one - other)).max()


@pytest.mark.parametrize("name", CELL_MAPS)
def test_the_path_leads_from_the_sample_to_the_target(name):
    path = conditional_path(PAIRS, 5, name)
    assert path.times.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert path.ids.tolist() == ["a", "b"]
    for frame, end in ((path.first, SAMPLE), (path.last, TARGET)):
        assert torus_difference(frame.frac_coords, end.frac_coords) < 1e-9
        assert np.allclose(frame.lengths, end.lengths, atol=1e-6)
        assert np.allclose(frame.angles, end.angles, atol=1e-6)


def test_an_atom_next_to_the_face_leaves_through_it():
    path = conditional_path(PAIRS, 9)
    first_atom = path.frac_coords[:, 0, 0]
    assert torus_difference(first_atom, np.linspace(0.98, 1.02, 9)) < 1e-9
    assert first_atom.min() < 0.1 and first_atom.max() > 0.9  # it never visits the middle


def test_half_of_the_time_is_half_of_the_way(noisy_pairs):
    path = conditional_path(noisy_pairs, 5)
    whole = np.sqrt(squared_torus_distances(noisy_pairs.c0, noisy_pairs.c1))
    gone = [np.sqrt(squared_torus_distances(noisy_pairs.c0, frame)) for frame in path]
    for time, way in zip(path.times, gone, strict=True):
        assert np.allclose(way, time * whole, atol=1e-9)


def test_no_pairs_and_one_frame_are_refused():
    with pytest.raises(InputError, match="at least 2 frames"):
        conditional_path(PAIRS, 1)
    with pytest.raises(InputError, match="no pairs"):
        conditional_path(PAIRS[[]])
    with pytest.raises(InputError, match="unknown cell parametrisation"):
        conditional_path(PAIRS, 3, "polar")


def test_a_cell_without_volume_is_named():
    flat = TARGET.replace(angles=[(90, 90, 120), (30, 30, 90)])
    with pytest.raises(InputError, match="b: the cell has zero volume"):
        conditional_path(PairSet(SAMPLE, flat))
