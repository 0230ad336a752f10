"""Fingerprints of batches: Magpie against matminer, failures, files, and how the work is split."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics import fingerprints as module
from flowllm.metrics.crystal_nn import site_fingerprints
from flowllm.metrics.fingerprints import (
    Fingerprints,
    fingerprint_crystals,
)


def rock_salt(name="x", edge=4.0):
    half = (0.5, 0.5, 0.5)
    return CrystalBatch([11, 17], [(0, 0, 0), half], [(edge,) * 3], [(60,) * 3], [2], [name])


OVERLAPPING = rock_salt("overlapping").replace(frac_coords=np.array([(0, 0, 0), (0.05, 0, 0)]))
FLAT = rock_salt("flat").replace(angles=np.array([[60, 60, 120]]))
OPEN = rock_salt("open").replace(atomic_numbers=np.array([0, 17]))
MIXED = CrystalBatch.concatenate(
    [rock_salt("first"), OVERLAPPING, FLAT, rock_salt("wide", 4.4), OPEN]
)


def test_structure_is_the_mean_over_the_sites():
    found = fingerprint_crystals(MIXED[[0, 3]], workers=1)
    sites = site_fingerprints(MIXED[3])[0]
    np.testing.assert_allclose(found.structure[1], sites.mean(0))
    assert found.complete.all() and found.reasons == ["", ""]
    assert found.ids.tolist() == ["first", "wide"]


def test_crystals_without_fingerprints_say_why():
    found = fingerprint_crystals(MIXED, workers=1)
    assert found.complete.tolist() == [True, False, False, True, False]
    assert found.reasons[1].startswith("atoms 0.2") and found.reasons[0] == ""
    assert found.reasons[2] == "the cell has zero volume"
    assert found.reasons[4] == "an atom's type is open"
    assert np.isnan(found.structure[1]).all() and np.isfinite(found.composition[1]).all()
    assert np.isnan(found.composition[4]).all()
    assert len(fingerprint_crystals(CrystalBatch.empty())) == 0


def test_one_crystal_that_raises_does_not_take_its_neighbours_along(monkeypatch):
    def fragile(crystals):
        if "wide" in crystals.ids:
            raise ArithmeticError("no such luck")
        return site_fingerprints(crystals)

    monkeypatch.setattr(module, "site_fingerprints", fragile)
    found = fingerprint_crystals(MIXED, workers=1)
    assert found.complete.tolist() == [True, False, False, False, False]
    assert found.reasons[3] == "ArithmeticError: no such luck"


def test_the_same_error_for_all_crystals_is_not_a_property_of_theirs(monkeypatch):
    def broken(_crystals):
        raise AttributeError("module 'x' has no attribute 'y'")

    monkeypatch.setattr(module, "site_fingerprints", broken)
    with pytest.raises(InputError, match="none of 5 crystals has .* AttributeError: module 'x'"):
        fingerprint_crystals(MIXED, workers=1)


def test_the_split_of_the_work_changes_nothing(monkeypatch):
    whole = fingerprint_crystals(MIXED, workers=1)
    monkeypatch.setattr(module, "CHUNK", 2)
    seen = []
    with ThreadPoolExecutor(2) as pool:
        split = fingerprint_crystals(MIXED, pool, progress=lambda *pair: seen.append(pair))
    np.testing.assert_allclose(split.structure, whole.structure, atol=1e-12)
    np.testing.assert_array_equal(split.composition, whole.composition)
    assert split.reasons == whole.reasons
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(("dtype", "error"), [("float64", 0), ("float32", 1e-6), ("float16", 1e-3)])
def test_saved_and_loaded(tmp_path, dtype, error):
    found = fingerprint_crystals(MIXED, workers=1)
    path = tmp_path / "fingerprints.npz"
    found.save(path, dtype)
    again = Fingerprints.load(path)
    np.testing.assert_allclose(again.structure, found.structure, atol=error)
    np.testing.assert_allclose(again.composition, found.composition, rtol=error)
    assert again.reasons == found.reasons and again.ids.tolist() == found.ids.tolist()
    assert again.structure.dtype == np.float64


def test_parts_and_their_concatenation():
    found = fingerprint_crystals(MIXED, workers=1)
    parts = [found[:2], found[np.array([2, 3])], found[[4]]]
    again = Fingerprints.concatenate(parts)
    np.testing.assert_array_equal(again.structure, found.structure)
    assert again.reasons == found.reasons and again.ids.tolist() == found.ids.tolist()
    assert found[found.complete].ids.tolist() == ["first", "wide"]
    assert len(Fingerprints.concatenate([])) == 0


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Fingerprints.load(tmp_path / "nothing.npz")
    for content in (b"no archive", b""):
        (tmp_path / "wrong.npz").write_bytes(content)
        with pytest.raises(InputError, match="wrong.npz is not an archive of fingerprints"):
            Fingerprints.load(tmp_path / "wrong.npz")
    np.savez(tmp_path / "other.npz", structure=np.zeros((1, 61)))
    with pytest.raises(InputError, match="is not an archive"):
        Fingerprints.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="composition of 1 fingerprints has the shape"):
        Fingerprints(np.zeros((1, 61)), np.zeros((1, 61)), [""], ["x"])
    with pytest.raises(InputError, match="0 reasons for 1 fingerprints"):
        Fingerprints(np.zeros((1, 61)), np.zeros((1, 132)), [], ["x"])
