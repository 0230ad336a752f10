"""Coverage of hand-made fingerprints, against brute force, and of nothing."""

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.metrics import coverage as module
from flowllm.metrics.coverage import coverage, nearest_distances
from flowllm.metrics.fingerprints import Fingerprints
from flowllm.metrics.magpie import CompositionScaler

UNIT = CompositionScaler(np.zeros(132), np.ones(132))


def made(structure, composition):
    """Fingerprints that vary along one axis only."""
    size = len(structure)
    rows, columns = np.zeros((size, 61)), np.zeros((size, 132))
    rows[:, 3], columns[:, 7] = structure, composition
    return Fingerprints(rows, columns, [""] * size, np.arange(size).astype(str))


def random_prints(size, seed, spread=1.0):
    rng = np.random.default_rng(seed)
    return Fingerprints(
        rng.random((size, 61)) * spread * 0.15,
        rng.normal(size=(size, 132)) * spread,
        [""] * size,
        np.arange(size).astype(str),
    )


def test_hand_made_distances():
    generated = made([0.0, 1.0, 2.0], [0.0, 0.0, 50.0])
    reference = made([0.3, 1.45, 5.0, 0.4], [0.0, 5.0, 0.0, 10.0])
    found = coverage(generated, reference, UNIT)
    np.testing.assert_allclose(found.recall_structure, [0.3, 0.45, 3.0, 0.4])
    np.testing.assert_allclose(found.recall_composition, [0, 5, 0, 10])
    assert found.recalled.tolist() == [True, False, False, True]  # the cutoff itself counts
    np.testing.assert_allclose(found.precision_structure, [0.3, 0.45, 0.55])
    np.testing.assert_allclose(found.precision_composition, [0, 0, 40])
    assert found.precise.tolist() == [True, False, False]
    assert (found.recall.value, found.recall.n) == (0.5, 4)
    assert (found.precision.value, found.precision.n) == (pytest.approx(1 / 3), 3)
    assert (found.structure_cutoff, found.composition_cutoff) == (0.4, 10)


def test_structure_and_composition_may_be_near_different_crystals():
    generated = made([0.0, 9.0], [99.0, 0.0])
    reference = made([0.0], [0.0])
    found = coverage(generated, reference, UNIT)
    assert found.recalled.tolist() == [True]
    assert found.precise.tolist() == [False, False]


def test_composition_is_standardised():
    generated, reference = made([0.0], [0.0]), made([0.0], [15.0])
    assert not coverage(generated, reference, UNIT).recalled[0]
    wide = CompositionScaler(np.full(132, 3.0), np.full(132, 2.0))
    found = coverage(generated, reference, wide)
    assert found.recalled[0] and found.recall_composition[0] == pytest.approx(7.5)
    assert not coverage(generated, reference, wide, composition_cutoff=7).recalled[0]
    near = made([0.3], [0.0])
    assert not coverage(generated, near, UNIT, structure_cutoff=0.2).recalled[0]


@pytest.mark.parametrize("block", [7, 100, 10**6])
def test_equals_a_loop_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    generated, reference = random_prints(40, 0), random_prints(31, 1)
    found = coverage(generated, reference, UNIT, structure_cutoff=0.41, composition_cutoff=14.5)
    for i in range(len(reference)):
        s = [np.sqrt(((g - reference.structure[i]) ** 2).sum()) for g in generated.structure]
        c = [np.sqrt(((g - reference.composition[i]) ** 2).sum()) for g in generated.composition]
        assert found.recall_structure[i] == pytest.approx(min(s), abs=1e-12)
        assert found.recall_composition[i] == pytest.approx(min(c), abs=1e-12)
    for i in range(len(generated)):
        s = [np.sqrt(((r - generated.structure[i]) ** 2).sum()) for r in reference.structure]
        c = [np.sqrt(((r - generated.composition[i]) ** 2).sum()) for r in reference.composition]
        assert found.precision_structure[i] == pytest.approx(min(s), abs=1e-12)
        assert found.precision_composition[i] == pytest.approx(min(c), abs=1e-12)
    assert 0 < found.recall.value < 1 and 0 < found.precision.value < 1


def test_a_set_covers_itself():
    prints = random_prints(50, 3, spread=100.0)
    found = coverage(prints, prints, UNIT)
    assert found.recall.value == found.precision.value == 1.0
    assert found.recall_structure.max() == found.precision_composition.max() == 0.0


def test_crystals_without_fingerprints_count_and_cover_nothing():
    generated = made([0.0, 5.0, 1.0], [0.0, 0.0, 0.0])
    generated.structure[1], generated.composition[2, 9] = np.nan, np.nan
    reference = made([0.0, 5.0, 1.0, 0.1], [0.0] * 4)
    reference.structure[3] = np.nan
    found = coverage(generated, reference, UNIT)
    assert found.recalled.tolist() == [True, False, False, False] and found.recall.n == 4
    assert found.precise.tolist() == [True, False, False] and found.precision.n == 3
    assert np.isnan(found.precision_structure).tolist() == [False, True, True]


def test_nothing_at_all():
    some, none = made([0.0, 1.0], [0.0, 1.0]), made([], [])
    found = coverage(none, some, UNIT)
    assert found.recall.value == 0 and np.isinf(found.recall_structure).all()
    assert found.precision.n == 0 and np.isnan(found.precision.value)
    assert coverage(some, none, UNIT).precision.value == 0
    lost = made([np.nan, np.nan], [0.0, 0.0])
    found = coverage(lost, some, UNIT)
    assert found.recall.value == found.precision.value == 0
    assert coverage(none, none, UNIT).recall.n == 0


def test_close_rows_far_from_the_origin_keep_their_distance():
    rows = np.full((3, 132), 1e5)
    other = rows[:1] + 1e-6
    to_other, to_one = nearest_distances(rows, other)
    np.testing.assert_allclose(to_other, 1e-6 * np.sqrt(132), rtol=1e-4)
    np.testing.assert_allclose(to_one, 1e-6 * np.sqrt(132), rtol=1e-4)


def test_cutoffs_must_be_positive():
    with pytest.raises(InputError, match="cutoffs of coverage"):
        coverage(made([0.0], [0.0]), made([0.0], [0.0]), UNIT, structure_cutoff=0)
