"""Compositional fingerprints against matminer's, and the scaler."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.metrics.magpie import CompositionScaler, composition_fingerprints


@cache
def featurizer():
    from matminer.featurizers.composition import ElementProperty

    return ElementProperty.from_preset("magpie")


def of(composition, repeats=1):
    """A crystal of a composition {symbol: atoms}, its atoms anywhere."""
    numbers = [NUMBER_OF[s] for s, n in composition.items() for _ in range(n * repeats)]
    coords = np.random.default_rng(0).random((len(numbers), 3))
    return CrystalBatch(numbers, coords, [(9, 9, 9)], [(90, 90, 90)], [len(numbers)], ["x"])


@settings(max_examples=40, deadline=None)
@given(
    composition=st.dictionaries(
        st.sampled_from(SYMBOLS[1:104]), st.integers(1, 6), min_size=1, max_size=5
    ),
    repeats=st.integers(1, 3),
)
def test_composition_equals_matminer_s_and_knows_fractions_only(composition, repeats):
    theirs = featurizer().featurize(Composition(composition))
    ours = composition_fingerprints(of(composition, repeats))
    np.testing.assert_allclose(ours[0], theirs, rtol=1e-9, atol=1e-9)


def test_batches_equal_single_crystals_and_open_types_have_none():
    parts = [of({"Na": 1, "Cl": 1}), of({"Fe": 2, "O": 3}), of({"Cu": 4})]
    open_type = parts[0].replace(atomic_numbers=np.array([0, 17]))
    empty = CrystalBatch([], np.zeros((0, 3)), [(9, 9, 9)], [(90, 90, 90)], [0], ["x"])
    found = composition_fingerprints(CrystalBatch.concatenate([*parts, open_type, empty]))
    for row, part in zip(found, parts, strict=False):
        np.testing.assert_array_equal(row, composition_fingerprints(part)[0])
    assert np.isnan(found[3:]).all()
    assert found[2][:6].tolist() == [29, 29, 0, 29, 0, 29]  # atomic number, of one element
    assert composition_fingerprints(CrystalBatch.empty()).shape == (0, 132)


def test_scaler_fits_mean_and_spread_and_leaves_constants():
    values = np.random.default_rng(0).normal(4.0, 3.0, size=(500, 132))
    values[:, 5] = 0.1
    values[7, 9] = np.nan
    scaler = CompositionScaler.fit(values)
    kept = np.delete(values, 7, axis=0)
    np.testing.assert_allclose(scaler.mean, kept.mean(0))
    scaled = scaler.transform(kept)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9)
    assert scaled.std(0)[0] == pytest.approx(1) and scaled.std(0)[5] == pytest.approx(0)
    assert scaler.std[5] == 1


def test_scaler_is_saved_and_checked(tmp_path):
    scaler = CompositionScaler.fit(np.random.default_rng(0).normal(size=(9, 132)))
    scaler.save(tmp_path / "scaler.json")
    again = CompositionScaler.load(tmp_path / "scaler.json")
    np.testing.assert_array_equal(again.mean, scaler.mean)
    np.testing.assert_array_equal(again.std, scaler.std)
    with pytest.raises(InputError, match="no such file"):
        CompositionScaler.load(tmp_path / "nothing.json")
    for text in ("{", "[]", '{"mean": [1]}', '{"mean": [1], "std": [1]}'):
        (tmp_path / "wrong.json").write_text(text)
        with pytest.raises(InputError):
            CompositionScaler.load(tmp_path / "wrong.json")
    with pytest.raises(InputError, match="must be positive"):
        CompositionScaler(np.zeros(132), np.zeros(132))
    with pytest.raises(InputError, match="no compositional fingerprint"):
        CompositionScaler.fit(np.full((3, 132), np.nan))
