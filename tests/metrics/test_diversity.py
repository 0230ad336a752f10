"""Diversity against scipy's pdist, and counts of systems and prototypes."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics import diversity as module
from flowllm.metrics.coverage import CompositionScaler
from flowllm.metrics.diversity import diversity, mean_pairwise_distance
from flowllm.metrics.fingerprints import Fingerprints

SCALER = CompositionScaler(np.full(132, 0.5), np.full(132, 2.0))


def salts(numbers):
    count = len(numbers)
    return CrystalBatch(
        np.array(numbers).ravel(),
        [(0, 0, 0), (0.5, 0.5, 0.5)] * count,
        [(4, 4, 4)] * count,
        [(60, 60, 60)] * count,
        [2] * count,
        np.arange(count).astype(str),
    )


CRYSTALS = salts([(11, 17), (17, 11), (11, 11), (19, 17), (3, 9)])


def prints(size=5, seed=0):
    rng = np.random.default_rng(seed)
    names = np.arange(size).astype(str)
    return Fingerprints(rng.random((size, 61)), rng.random((size, 132)), [""] * size, names)


@pytest.mark.parametrize("block", [3, 50, 10**6])
def test_equals_scipy_s_pdist_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    rows = np.random.default_rng(1).normal(size=(23, 7))
    found = mean_pairwise_distance(rows)
    assert found.value == pytest.approx(pdist(rows).mean()) and found.n == 23
    assert found.low < found.value < found.high


def test_interval_is_as_wide_as_samples_differ():
    rng = np.random.default_rng(2)
    found = [mean_pairwise_distance(rng.normal(size=(60, 3)), seed) for seed in range(60)]
    widths = np.mean([f.high - f.low for f in found])
    spread = np.std([f.value for f in found])
    assert widths == pytest.approx(3.92 * spread, rel=0.3)


def test_two_points_and_fewer():
    assert mean_pairwise_distance(np.array([[0.0, 0.0], [3.0, 4.0]])).value == 5.0
    assert mean_pairwise_distance(np.ones((4, 2))).value == 0.0
    for size in (0, 1):
        found = mean_pairwise_distance(np.zeros((size, 2)))
        assert np.isnan(found.value) and found.n == size


def test_fingerprints_are_compared_and_compositions_standardised():
    given = prints()
    found = diversity(CRYSTALS, given, SCALER)
    assert found.structure.value == pytest.approx(pdist(given.structure).mean())
    assert found.composition.value == pytest.approx(pdist(given.composition / 2).mean())
    assert found.chemical_systems == 4 and found.n == 5  # Na-Cl twice, Na, K-Cl, Li-F
    assert found.prototypes is None


def test_only_valid_crystals_with_fingerprints_count():
    given = prints()
    given.structure[3] = np.nan
    valid = np.array([True, True, False, True, True])
    labels = np.array(["a", "a", "b", "c", ""])
    found = diversity(CRYSTALS, given, SCALER, valid, labels)
    assert found.n == 3 and found.chemical_systems == 2
    assert found.prototypes == 1  # an empty label is no prototype
    assert found.structure.value == pytest.approx(pdist(given.structure[[0, 1, 4]]).mean())


def test_nothing_and_bad_input():
    empty = diversity(CrystalBatch.empty(), prints(0), SCALER)
    assert empty.n == 0 and empty.chemical_systems == 0
    nobody = diversity(CRYSTALS, prints(), SCALER, np.zeros(5, dtype=bool))
    assert np.isnan(nobody.structure.value)
    with pytest.raises(InputError, match="4 fingerprints for 5 crystals"):
        diversity(CRYSTALS, prints(4), SCALER)
    with pytest.raises(InputError, match="2 prototypes for 5 crystals"):
        diversity(CRYSTALS, prints(), SCALER, prototypes=np.array(["a", "b"]))
