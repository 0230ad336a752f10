"""Alignment: known permutations and translations are found, and nothing gets farther."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.flow import align, mean_squared_torus_distance
from flowllm.methods.flow.couplings.alignment import METHODS, squared_torus_distances, torus_log


def random_batch(rng: np.random.Generator, size: int = 4, atoms: int = 9) -> CrystalBatch:
    counts = rng.integers(1, atoms + 1, size)
    return CrystalBatch(
        rng.integers(1, 4, counts.sum()),
        rng.random((counts.sum(), 3)),
        np.full((size, 3), 5.0),
        np.full((size, 3), 90.0),
        counts,
        [f"c{k}" for k in range(size)],
    )


def test_a_permutation_with_a_translation_is_undone_exactly(real_crystals, perturbed):
    c1 = real_crystals[:80]
    c0, c1 = perturbed(c1, seed=1, noise=0.0)
    assert mean_squared_torus_distance(align(c0, c1, "list"), c1) > 0.1
    aligned = align(c0, c1)
    assert mean_squared_torus_distance(aligned, c1) < 1e-20
    assert np.array_equal(aligned.atomic_numbers, c1.atomic_numbers)


def test_noise_is_all_that_is_left(real_crystals, perturbed):
    c0, c1 = perturbed(real_crystals[:80], seed=2, noise=0.01)
    assert mean_squared_torus_distance(align(c0, c1), c1) < 1.05 * 3 * 0.01**2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_no_method_is_farther_than_the_simpler_one(seed):
    rng = np.random.default_rng(seed)
    c1 = random_batch(rng)
    c0 = c1.replace(frac_coords=rng.random(c1.frac_coords.shape))
    by_list, hungarian, translated = (
        squared_torus_distances(align(c0, c1, method), c1) for method in METHODS
    )
    assert (hungarian <= by_list + 1e-12).all()
    assert (translated <= hungarian + 1e-12).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_the_aligned_crystal_is_the_same_crystal(seed):
    """Each atom of the result is one atom of c0, all moved by one vector."""
    rng = np.random.default_rng(seed)
    c1 = random_batch(rng, size=1)
    c0 = c1.replace(frac_coords=rng.random(c1.frac_coords.shape), lengths=[[4.0, 5.0, 6.0]])
    aligned = align(c0, c1)
    assert np.array_equal(aligned.lengths, c0.lengths)
    shifts = torus_log(c0.frac_coords[:, None], aligned.frac_coords[None])
    for candidate in shifts[0]:
        residual = np.abs(torus_log(candidate, shifts)).max(-1) < 1e-9
        residual &= c0.atomic_numbers[:, None] == aligned.atomic_numbers[None]
        if (residual.sum(0) >= 1).all() and (residual.sum(1) >= 1).all():
            return
    raise AssertionError("no common translation maps c0 onto the result")


def test_list_order_pairs_like_elements_in_order():
    c1 = CrystalBatch([8, 22, 8], np.zeros((3, 3)), [[4] * 3], [[90] * 3], [3], ["t"])
    c0 = c1.replace(
        atomic_numbers=[22, 8, 8], frac_coords=[[0.1] * 3, [0.2] * 3, [0.3] * 3], ids=["s"]
    )
    aligned = align(c0, c1, "list")
    assert aligned.frac_coords[:, 0].tolist() == [0.2, 0.1, 0.3]
    assert aligned.atomic_numbers.tolist() == [8, 22, 8] and aligned.ids.tolist() == ["s"]


def test_the_distance_of_uniform_noise_is_a_quarter():
    rng = np.random.default_rng(0)
    c1 = random_batch(rng, size=3000)
    c0 = c1.replace(frac_coords=rng.random(c1.frac_coords.shape))
    assert mean_squared_torus_distance(c0, c1) == pytest.approx(0.25, abs=0.005)
    per_crystal = squared_torus_distances(c0, c1)
    total = (per_crystal * c1.num_atoms).sum() / c1.num_atoms.sum()
    assert total == pytest.approx(mean_squared_torus_distance(c0, c1))


def test_another_composition_is_refused_by_name():
    rng = np.random.default_rng(0)
    c1 = random_batch(rng)
    other = c1.replace(
        atomic_numbers=np.where(np.arange(len(c1.atomic_numbers)) == 0, 50, c1.atomic_numbers)
    )
    with pytest.raises(InputError, match="c0.*Sn1"):
        align(other, c1)
    with pytest.raises(InputError, match="3 samples"):
        align(c1[:3], c1)
    with pytest.raises(InputError, match="hungarian"):
        align(c1, c1, "nearest")


def test_nothing_aligns_with_nothing():
    assert len(align(CrystalBatch.empty(), CrystalBatch.empty())) == 0
