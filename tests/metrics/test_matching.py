"""Matching of known pairs: itself, a perturbed copy, another crystal, a broken one."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchResult, MatchSettings, before_and_after, match

PEROVSKITE = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    [(3.9, 3.9, 3.9)],
    [(90, 90, 90)],
    [5],
    ["SrTiO3"],
)
ROCK_SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(60, 60, 60)], [2], ["NaCl"]
)
FLAT = ROCK_SALT.replace(angles=np.array([[60, 60, 120]]))
OVERLAPPING = ROCK_SALT.replace(frac_coords=np.array([(0, 0, 0), (0.05, 0.05, 0.05)]))


def test_a_structure_matches_itself_in_any_setting():
    moved = PEROVSKITE.replace(frac_coords=PEROVSKITE.frac_coords + 0.37)
    swollen = PEROVSKITE.replace(lengths=PEROVSKITE.lengths * 1.1)
    predicted = CrystalBatch.concatenate([PEROVSKITE, moved, swollen])
    result = match(predicted, CrystalBatch.concatenate([PEROVSKITE] * 3))
    np.testing.assert_allclose(result.rms, 0, atol=1e-6)
    assert result.match_rate.value == 1 and result.match_rate.n == 3
    assert result.failures == ()


def test_rms_is_the_known_displacement_over_the_free_length():
    step = 0.2  # Å; oxygens against each other, so the centre stays where it is
    coords = PEROVSKITE.frac_coords.copy()
    coords[2, 2] += step / 3.9
    coords[3, 1] -= step / 3.9
    moved = np.zeros((5, 3))
    moved[2, 2], moved[3, 1] = step, -step
    moved -= moved.mean(0)  # the matcher takes the best translation
    expected = np.sqrt((moved**2).sum(1).mean()) / (3.9**3 / 5) ** (1 / 3)
    result = match(PEROVSKITE.replace(frac_coords=coords), PEROVSKITE)
    assert result.rms[0] == pytest.approx(expected, rel=1e-3)
    assert result.rmse.value == pytest.approx(expected, rel=1e-3)


def test_rates_over_all_and_over_valid_pairs():
    predicted = CrystalBatch.concatenate([PEROVSKITE, ROCK_SALT, FLAT, OVERLAPPING])
    truth = CrystalBatch.concatenate([PEROVSKITE, PEROVSKITE, ROCK_SALT, OVERLAPPING])
    result = match(predicted, truth)
    assert result.matched.tolist() == [True, False, False, True]
    assert result.valid.tolist() == [True, True, False, False]
    assert (result.match_rate.value, result.match_rate.n) == (0.5, 4)
    assert (result.match_rate_valid_pairs.value, result.match_rate_valid_pairs.n) == (0.5, 2)
    assert (result.match_rate_invalid_fail.value, result.match_rate_invalid_fail.n) == (0.25, 4)
    assert result.rmse.n == 2 and result.rmse_valid_pairs.n == 1
    assert result.match_rate.low < 0.5 < result.match_rate.high
    assert ("match rate, valid pairs only", "50.0 % (0.0 to 100.0, n = 2)") in result.table()


def test_before_and_after_are_compared_on_what_matches_both_times():
    valid = np.ones(5, dtype=bool)
    nan = np.nan
    before = MatchResult(np.array([0.1, 0.3, nan, 0.4, nan]), valid, MatchSettings())
    after = MatchResult(np.array([0.0, 0.2, 0.5, nan, nan]), valid, MatchSettings())
    same, moved = before_and_after(before, after)
    assert same[1].startswith("0.2000 (") and same[2].startswith("0.1000 (")
    assert same[1].endswith("n = 2)")
    assert moved[1:] == ("1 (0.40)", "1 (0.50)")
    assert before.table()[5] == ("median RMS, all matches", "0.3000")
    assert before_and_after(before, before)[1][1:] == ("0", "0")
    fewer = MatchResult(before.rms[:3], valid[:3], MatchSettings())
    with pytest.raises(InputError, match="5 pairs before and 3 after"):
        before_and_after(before, fewer)


def test_validity_may_be_given():
    batch = CrystalBatch.concatenate([PEROVSKITE, ROCK_SALT])
    result = match(batch, batch, valid=np.array([True, False]))
    assert result.match_rate.value == 1 and result.match_rate_invalid_fail.value == 0.5


def test_tolerances_decide():
    coords = PEROVSKITE.frac_coords.copy()
    coords[2] += 0.12
    bent = PEROVSKITE.replace(frac_coords=coords)
    assert match(bent, PEROVSKITE).matched[0]
    assert not match(bent, PEROVSKITE, MatchSettings(stol=0.05)).matched[0]


def test_bad_input():
    with pytest.raises(InputError, match="1 predictions for 2 true crystals"):
        match(PEROVSKITE, CrystalBatch.concatenate([PEROVSKITE] * 2))
    with pytest.raises(InputError, match="stol must be positive"):
        MatchSettings(stol=0)


def test_no_pairs():
    result = match(CrystalBatch.empty(), CrystalBatch.empty())
    assert result.match_rate.n == 0 and np.isnan(result.match_rate.value)
    assert ("match rate, all pairs", "none (n = 0)") in result.table()
