"""Pairs of noisy copies, and leaving out pairs that are far."""

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.methods.flow import PairSet
from flowllm.methods.flow.couplings.alignment import squared_torus_distances, torus_log
from flowllm.methods.flow.couplings.perturbed import COORD_NOISE, STRAIN, perturbed_pairs
from flowllm.methods.flow.train import close_pairs
from flowllm.text import parse_text, to_text


def test_copies_keep_types_and_stay_near(real_crystals):
    pairs = perturbed_pairs(real_crystals, 1500, seed=3)
    assert len(pairs) == 1500  # more than there are targets: taken in turn
    assert np.array_equal(pairs.c0.atomic_numbers, pairs.c1.atomic_numbers)
    assert pairs.c1.ids[1000] == pairs.c1.ids[0]
    moves = torus_log(pairs.c0.frac_coords, pairs.c1.frac_coords)
    many = np.isin(pairs.c1.crystal_of_atom, np.flatnonzero(pairs.c1.num_atoms > 8))
    spread = moves[many].std()
    assert COORD_NOISE[0] < spread < COORD_NOISE[1]
    strain = np.log(pairs.c0.lengths / pairs.c1.lengths)
    assert STRAIN[0] < strain.std() < STRAIN[1]
    # no common shift: it would be noise that nothing can tell
    sums = np.zeros((len(pairs), 3))
    np.add.at(sums, pairs.c1.crystal_of_atom, moves)
    assert np.abs(sums[::2]).max() < 1e-9


def test_every_other_copy_is_rounded_as_text_is(real_crystals):
    pairs = perturbed_pairs(real_crystals[:80], 80, seed=3)
    texts = to_text(pairs.c0)
    for index in range(1, 80, 2):
        again = parse_text(texts[index])
        assert np.allclose(again.lengths, pairs.c0[index].lengths)
        assert np.allclose(again.angles, pairs.c0[index].angles)
        written, kept = (np.sort(c.frac_coords % 1, axis=0) for c in (again, pairs.c0[index]))
        assert np.allclose(written, kept)
    finer = np.abs(pairs.c0[::2].frac_coords - pairs.c0[::2].frac_coords.round(2))
    assert finer.mean() > 0.002  # the others are not


def test_a_pair_depends_on_its_index_alone(real_crystals):
    few, many = (perturbed_pairs(real_crystals, n, seed=1) for n in (5, 40))
    assert np.array_equal(few.c0.frac_coords, many[:5].c0.frac_coords)
    other = perturbed_pairs(real_crystals, 5, seed=2)
    assert not np.array_equal(few.c0.lengths, other.c0.lengths)


def test_far_pairs_are_left_out(real_crystals):
    crystals = real_crystals[:60]
    near = perturbed_pairs(crystals, 60, seed=0)
    rng = np.random.default_rng(0)
    wild = crystals.replace(frac_coords=rng.random(crystals.frac_coords.shape))
    stretched = crystals.replace(lengths=crystals.lengths * [1.5, 1.0, 1.0])
    both = PairSet.concatenate([near, PairSet(wild, crystals), PairSet(stretched, crystals)])
    kept = close_pairs(both, 0.02, 0.1)
    assert squared_torus_distances(kept.c0, kept.c1).max() <= 0.02
    assert np.log(kept.c0.volumes / kept.c1.volumes).max() < 0.35
    assert {*near.c1.ids} <= {*kept.c1.ids} and 55 <= len(kept) < 75
    # ln 1.5 = 0.41 is the strain of a cell stretched along one of its axes at right angles
    assert len(close_pairs(PairSet(stretched, crystals), 0.02, 0.7)) == 60
    with pytest.raises(InputError, match="closer than max_distance"):
        close_pairs(PairSet(stretched, crystals), 0.02, 0.01)
