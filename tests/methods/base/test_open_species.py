"""Priors that leave species open, the tasks of their refiners, and frames of several batches."""

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError
from flowllm.methods.base.frames import FrameArrays, kept_steps
from flowllm.methods.base.geometry import NormalLattice, SimpleBase
from flowllm.methods.base.open_settings import OpenSettings
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.base.tasks import CSP, DNG, rows_by_task
from flowllm.systems.testing import check_prior

BASE = SimpleBase((1.5, 1.7, 2.0), (0.2, 0.2, 0.3))
ASKED = [Conditions(num_atoms=3), Conditions(composition={"Sr": 1, "Ti": 1, "O": 3})]


@pytest.mark.parametrize("geometry", [BASE, NormalLattice()])
def test_it_keeps_the_promises_of_a_prior(geometry, tmp_path):
    check_prior(OpenPrior(geometry), tmp_path, ASKED)


def test_species_are_open_unless_a_composition_is_asked_for():
    drawn = OpenPrior(BASE).sample(ASKED, OpenSettings(), [1, 2])
    assert drawn[0].atomic_numbers.tolist() == [0, 0, 0]
    assert sorted(drawn[1].atomic_numbers.tolist()) == [8, 8, 8, 22, 38]


def test_neither_a_composition_nor_a_size_is_refused():
    with pytest.raises(InputError, match="needs a number of atoms"):
        OpenPrior(BASE).sample([Conditions()], OpenSettings(), [1])


def test_the_lengths_of_a_normal_lattice_are_those_of_three_normal_numbers():
    crystals = [NormalLattice().put(np.array([0]), seed) for seed in range(2000)]
    lengths = CrystalBatch.concatenate(crystals).lengths
    # chi-squared of three degrees of freedom: mean 3, variance 6
    assert (lengths**2).mean() == pytest.approx(3.0, abs=4 * np.sqrt(6 / lengths.size))
    angles = CrystalBatch.concatenate(crystals).angles
    assert np.cos(np.radians(angles)).mean() == pytest.approx(0.0, abs=4 / np.sqrt(3 * angles.size))


def test_the_base_of_flowmm_is_fitted_to_the_training_lengths():
    training = load_shipped("mp_20", "val").crystals[:200]
    prior = OpenPrior.fit("flowmm-base", training)
    assert prior.geometry.log_mean == pytest.approx(np.log(training.lengths).mean(0).tolist())
    with pytest.raises(InputError, match="unknown prior 'types'"):
        OpenPrior.fit("types", training)


# ---- tasks ---------------------------------------------------------------------------------------


@pytest.fixture
def three():
    """One crystal with known species, one with open ones, one with both."""
    numbers = [[11, 17], [0, 0, 0], [0, 8]]
    parts = [BASE.put(np.array(n), k).replace(ids=[f"x{k}"]) for k, n in enumerate(numbers)]
    return CrystalBatch.concatenate(parts)


def test_crystals_go_to_the_network_of_their_task(three):
    rows = rows_by_task(three[:2], (CSP, DNG), "DiffCSP")
    assert {task: found.tolist() for task, found in rows.items()} == {CSP: [0], DNG: [1]}
    assert list(rows_by_task(three[:1], (CSP,), "DiffCSP")) == [CSP]
    assert rows_by_task(CrystalBatch.empty(), (), "DiffCSP") == {}


@pytest.mark.parametrize(
    ("chosen", "trained", "message"),
    [
        ([2], (CSP, DNG), "x2: DiffCSP takes all species or none"),
        ([0, 1], (DNG,), "a composition cannot be requested"),
        ([0, 1], (CSP,), "it needs a composition"),
    ],
)
def test_a_task_that_nothing_was_trained_for_is_refused(three, chosen, trained, message):
    with pytest.raises(InputError, match=message):
        rows_by_task(three[np.array(chosen)], trained, "DiffCSP")


# ---- frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "count"), [(1, 2), (50, 51), (99, 100), (100, 100), (1000, 100)])
def test_at_most_a_hundred_steps_are_kept_with_both_ends(steps, count):
    kept = kept_steps(steps)
    assert kept[0] == 0 and kept[-1] == steps
    assert len(kept) == count and kept == sorted(set(kept))


def test_frames_of_batches_in_any_order_are_those_of_all_crystals_together(three):
    arrays = FrameArrays(three, np.array([0.0, 0.5, 1.0]))
    moved = [
        three.replace(
            frac_coords=(three.frac_coords + 0.1 * k) % 1, lengths=three.lengths * (1 + k)
        )
        for k in range(3)
    ]
    for rows in (np.array([2, 0]), np.array([1])):
        for frame in range(3):
            arrays.put(frame, rows, moved[frame][rows])
    path = arrays.trajectory()
    for frame in range(3):
        assert np.allclose(path.frame(frame).frac_coords, moved[frame].frac_coords)
        assert np.allclose(path.frame(frame).lengths, moved[frame].lengths)
    assert path.ids.tolist() == ["x0", "x1", "x2"]
