"""Structure prediction: truth against itself, planted answers, polymorphs, and brute force."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings, match
from flowllm.metrics.prediction import match_everyone, score_predictions, targets_from_ids

PEROVSKITE = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    [(3.9, 3.9, 3.9)],
    [(90, 90, 90)],
    [5],
    ["srtio3"],
)
ROCK_SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(60, 60, 60)], [2], ["rock"]
)
CESIUM_TYPE = ROCK_SALT.replace(
    lengths=np.array([[3.5, 3.5, 3.5]]), angles=np.array([[90.0] * 3]), ids=np.array(["cesium"])
)
FLAT = ROCK_SALT.replace(angles=np.array([[60, 60, 120]]))
OVERLAPPING = ROCK_SALT.replace(frac_coords=np.array([(0, 0, 0), (0.05, 0.05, 0.05)]))


def batch(*named) -> CrystalBatch:
    """Crystals with ids, out of pairs (crystal, id)."""
    return CrystalBatch.concatenate(c.replace(ids=np.array([name])) for c, name in named)


def moved(crystal: CrystalBatch, step: float, seed: int = 0) -> CrystalBatch:
    noise = np.random.default_rng(seed).normal(size=crystal.frac_coords.shape)
    return crystal.replace(frac_coords=crystal.frac_coords + step * noise)


# ---- ids ---------------------------------------------------------------------------------------


def test_ids_say_which_structure_and_which_try():
    truth = ["mp-1", "mp-30", "x"]
    ids = ["mp-30-2", "mp-1", "x-10", "mp-30-1", "x-9", "mp-30"]
    target, attempt = targets_from_ids(ids, truth)
    assert target.tolist() == [1, 0, 2, 1, 2, 1]
    assert attempt.tolist() == [2, 0, 1, 1, 0, 0]


def test_an_id_of_a_structure_is_never_taken_for_a_try():
    target, attempt = targets_from_ids(["mp", "mp-1", "mp-1-1"], ["mp", "mp-1"])
    assert target.tolist() == [0, 1, 1]
    assert attempt.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("ids", "truth", "message"),
    [
        (["a", "b", "c-x"], ["a"], r"2 of 3 predictions .*\(b, c-x\)"),
        (["a-1", "a-1"], ["a"], "two predictions have the id a-1"),
        (["a"], ["a", "a"], "two test structures have the id a"),
        (["a-²"], ["a"], "1 of 1 predictions"),
    ],
)
def test_ids_that_tell_nothing_are_named(ids, truth, message):
    with pytest.raises(InputError, match=message):
        targets_from_ids(ids, truth)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.randoms())
def test_tries_are_numbered_without_gaps_in_any_order(owners, random):
    truth = [f"mp-{i}" for i in range(5)]
    ids = [f"mp-{owner}-{row}" for row, owner in enumerate(owners)]
    random.shuffle(ids)
    target, attempt = targets_from_ids(ids, truth)
    for owner in set(owners):
        mine = np.flatnonzero(target == owner)
        numbers = [int(ids[row].split("-")[2]) for row in mine]
        assert attempt[mine].tolist() == np.argsort(np.argsort(numbers)).tolist()


# ---- known answers -----------------------------------------------------------------------------


def test_one_right_answer_among_tries_counts_from_its_place_on():
    truth = batch((PEROVSKITE, "p"), (ROCK_SALT, "r"))
    predictions = batch(
        (CESIUM_TYPE, "r-1"), (CESIUM_TYPE, "r-2"), (ROCK_SALT, "r-3"), (CESIUM_TYPE, "r-4"),
        (PEROVSKITE, "p-1"), (ROCK_SALT, "p-2"), (ROCK_SALT, "p-3"), (ROCK_SALT, "p-4"),
    )  # fmt: skip
    result = score_predictions(predictions, truth)
    rates = [result.best_of(k).match_rate.value for k in (1, 2, 3, 4)]
    assert rates == [0.5, 0.5, 1.0, 1.0]
    assert result.tries.tolist() == [4, 4]
    np.testing.assert_allclose(result.best_of(4).rms, 0, atol=1e-6)
    table = dict(result.table())
    assert table["match rate, 1 try, all pairs"].startswith("50.0 % (")
    assert table["match rate, 4 tries, all pairs"].startswith("100.0 % (")
    assert table["tries for a structure"] == "4 to 4"


def test_the_best_of_several_matches_gives_the_rmse():
    truth = batch((PEROVSKITE, "p"))
    predictions = batch(
        *((moved(PEROVSKITE, step, 1), f"p-{i}") for i, step in enumerate([0.04, 0.01, 0.02]))
    )
    result = score_predictions(predictions, truth)
    alone = [match(p, truth).rms[0] for p in predictions]
    np.testing.assert_allclose(result.rms, alone)
    assert result.best_of(1).rmse.value == pytest.approx(alone[0])
    assert result.best_of(3).rmse.value == pytest.approx(min(alone)) == pytest.approx(alone[1])


def test_structures_without_a_prediction_stay_in_the_denominator():
    truth = batch((PEROVSKITE, "p"), (ROCK_SALT, "r"), (CESIUM_TYPE, "c"))
    result = score_predictions(batch((PEROVSKITE, "p-1")), truth)
    assert (result.best_of(1).match_rate.value, result.best_of(1).match_rate.n) == (1 / 3, 3)
    assert result.everyone.metre.n == 3
    assert dict(result.table())["tries for a structure"] == "0 to 1"


def test_a_try_that_could_not_be_read_keeps_its_place():
    truth = batch((ROCK_SALT, "r"), (PEROVSKITE, "p"))
    predictions = batch((ROCK_SALT, "r-2"), (PEROVSKITE, "p-1"))  # r-1 was no crystal
    target, attempt = np.array([0, 1]), np.array([1, 0])
    result = score_predictions(predictions, truth, target, attempt=attempt)
    assert [result.best_of(k).match_rate.value for k in (1, 2)] == [0.5, 1.0]
    assert (result.first.metre.value, result.first.predictions) == (0.5, 1)
    assert "match rate, 2 tries, all pairs" in dict(result.table())


def test_metre_sees_the_polymorph_that_the_match_rate_pays_twice():
    # two polymorphs; the model writes one of them both times, or both in the wrong order
    truth = batch((ROCK_SALT, "r"), (CESIUM_TYPE, "c"))
    swapped = score_predictions(batch((CESIUM_TYPE, "r"), (ROCK_SALT, "c")), truth)
    assert swapped.best_of(1).match_rate.value == 0
    assert swapped.first.metre.value == 1 and swapped.first.crmse.value == pytest.approx(
        0, abs=1e-6
    )
    twice = score_predictions(batch((ROCK_SALT, "r"), (ROCK_SALT, "c")), truth)
    assert twice.first.metre.value == 0.5
    assert twice.first.crmse.value == pytest.approx(0.25)  # half of stol
    assert twice.first.rmse.value == pytest.approx(0, abs=1e-6)


def test_duplicate_references_are_each_matched_by_one_prediction():
    truth = batch((ROCK_SALT, "a"), (ROCK_SALT, "b"), (PEROVSKITE, "p"))
    result = match_everyone(batch((ROCK_SALT, "anything")), truth)
    assert np.isnan(result.rms).tolist() == [False, False, True]
    assert result.crmse.value == pytest.approx(0.5 / 3)


def test_a_supercell_counts_as_the_same_composition():
    doubled = CrystalBatch(
        np.repeat(ROCK_SALT.atomic_numbers, 2),
        [(0, 0, 0), (0.5, 0, 0), (0.25, 0.5, 0.5), (0.75, 0.5, 0.5)],
        ROCK_SALT.lengths * [[2, 1, 1]],
        ROCK_SALT.angles,
        [4],
        ["anything"],
    )
    assert match_everyone(doubled, ROCK_SALT).metre.value == 1


def test_unmatched_references_enter_crmse_with_the_stol_in_use():
    truth = batch((ROCK_SALT, "r"), (PEROVSKITE, "p"))
    for stol in (0.3, 0.5):
        result = match_everyone(CrystalBatch.empty(), truth, MatchSettings(stol=stol))
        assert result.crmse.value == pytest.approx(stol)
        assert result.metre.value == 0 and result.rmse.n == 0


def test_rates_over_valid_pairs_take_the_best_valid_try():
    truth = batch((ROCK_SALT, "r"), (PEROVSKITE, "p"))
    worse = moved(ROCK_SALT, 0.03, 2)
    predictions = batch((ROCK_SALT, "r-1"), (worse, "r-2"), (PEROVSKITE, "p-1"))
    result = score_predictions(predictions, truth, valid=np.array([False, True, False]))
    every, sound = result.best_of(2), result.best_of(2, valid_only=True)
    assert every.match_rate.value == 1
    assert every.rms[0] == pytest.approx(0, abs=1e-6)
    assert sound.rms[0] == pytest.approx(match(worse, ROCK_SALT).rms[0])
    assert (sound.match_rate_valid_pairs.value, sound.match_rate_valid_pairs.n) == (1, 1)
    assert (sound.match_rate_invalid_fail.value, sound.match_rate_invalid_fail.n) == (0.5, 2)
    assert (sound.rmse_valid_pairs.n, sound.rmse.n) == (1, 1)
    assert result.everyone.metre_valid.value == 0.5
    assert result.everyone.crmse_valid.value == pytest.approx((sound.rms[0] + 0.5) / 2)


def test_flat_empty_and_open_crystals_match_nothing_and_stop_nothing():
    none = CrystalBatch([], [], [(4, 4, 4)], [(90, 90, 90)], [0], ["r-3"])
    unknown = ROCK_SALT.replace(atomic_numbers=np.array([0, 17]))
    predictions = CrystalBatch.concatenate(
        [
            batch((FLAT, "r-1"), (unknown, "r-2")),
            none,
            batch((OVERLAPPING, "r-4"), (ROCK_SALT, "r-5")),
        ]
    )
    result = score_predictions(predictions, batch((ROCK_SALT, "r")))
    assert np.isnan(result.rms).tolist() == [True, True, True, False, False]
    assert result.valid.tolist() == [False, True, False, False, True]
    assert result.failures == ()


def test_a_pair_on_which_the_matcher_gives_up_is_named(monkeypatch):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    def give_up(self, one, other):
        if len(one) == 5:
            raise RuntimeError("no luck")
        return (0.1, 0.2)

    monkeypatch.setattr(StructureMatcher, "get_rms_dist", give_up)
    truth = batch((ROCK_SALT, "r"), (PEROVSKITE, "p"))
    result = score_predictions(batch((ROCK_SALT, "r-1"), (PEROVSKITE, "p-1")), truth)
    assert [str(f) for f in result.failures] == ["p-1 against p: no luck"]
    assert result.best_of(1).matched.tolist() == [True, False]


def test_bad_input():
    truth = batch((ROCK_SALT, "r"), (PEROVSKITE, "p"))
    one = batch((ROCK_SALT, "r-1"))
    with pytest.raises(InputError, match="target must lie in 0 to 1$"):
        score_predictions(one, truth, np.array([2]))
    with pytest.raises(InputError, match="target must be 1 whole numbers"):
        score_predictions(one, truth, np.array([0.5]))
    with pytest.raises(InputError, match="target must be 1 whole numbers"):
        score_predictions(one, truth, np.array([0, 1]))
    with pytest.raises(InputError, match="attempt must lie in 0 to …"):
        score_predictions(one, truth, attempt=np.array([-1]))
    with pytest.raises(InputError, match="valid_truth must hold 2 values, not 1"):
        score_predictions(one, truth, valid_truth=np.array([True]))
    with pytest.raises(InputError, match="at least 1, not 0"):
        score_predictions(one, truth).best_of(0)


def test_no_test_structures():
    result = score_predictions(CrystalBatch.empty(), CrystalBatch.empty())
    assert result.best_of(1).match_rate.n == 0
    assert dict(result.table())["METRe, first tries"] == "none (n = 0)"


# ---- real crystals -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def polymorphs(mp20_crystals):
    """20 crystals, the first 5 of one composition: different structures with their types exchanged.

    Real polymorphs are few among the crystals of the fixture.
    """
    small = mp20_crystals[mp20_crystals.num_atoms <= 6]
    alike = [i for i, c in enumerate(small.compositions) if sorted(c.values()) == [1, 1, 2]][:5]
    others = np.setdiff1d(np.arange(len(small)), alike)[:15]
    exchanged = []
    for crystal in small[alike]:
        _, place, counts = np.unique(
            crystal.atomic_numbers, return_inverse=True, return_counts=True
        )
        rank = np.argsort(np.argsort(counts, kind="stable"))
        exchanged.append(crystal.replace(atomic_numbers=np.array([3, 13, 8])[rank[place]]))
    assert len(exchanged) == 5
    return CrystalBatch.concatenate([*exchanged, small[others]])


@pytest.mark.data
def test_truth_against_itself_is_perfect_in_any_order(polymorphs):
    order = np.random.default_rng(0).permutation(len(polymorphs))
    result = score_predictions(polymorphs[order], polymorphs)
    assert result.target.tolist() == order.tolist()
    for rate in (result.best_of(1).match_rate, result.first.metre, result.everyone.metre):
        assert (rate.value, rate.n) == (1.0, 20)
    for error in (result.best_of(1).rmse, result.first.crmse, result.everyone.rmse):
        assert error.value == pytest.approx(0, abs=1e-5)


@pytest.mark.data
def test_figures_agree_with_brute_force(polymorphs):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    # three tries for each structure: noisy, noisier, and another structure of the set
    rng = np.random.default_rng(3)
    tries = []
    for number, step in enumerate([0.05, 0.02, None]):
        other = polymorphs if step else polymorphs[rng.permutation(len(polymorphs))]
        noise = rng.normal(size=other.frac_coords.shape) * (step or 0)
        ids = np.array([f"{name}-{number}" for name in polymorphs.ids])
        tries.append(other.replace(frac_coords=other.frac_coords + noise, ids=ids))
    predictions = CrystalBatch.concatenate(tries)
    with ThreadPoolExecutor(2) as executor:
        seen = []
        result = score_predictions(
            predictions, polymorphs, executor=executor, progress=lambda *at: seen.append(at)
        )
    assert seen[-1] == (20, 20)

    matcher = StructureMatcher(stol=0.5, angle_tol=10, ltol=0.3)
    made, true = predictions.to_pymatgen(), polymorphs.to_pymatgen()
    rms = np.full((len(made), len(true)), np.nan)
    for i, one in enumerate(made):
        for j, other in enumerate(true):
            if one.composition.reduced_composition == other.composition.reduced_composition:
                found = matcher.get_rms_dist(one, other)
                rms[i, j] = np.nan if found is None else found[0]
    own = rms[np.arange(60), np.tile(np.arange(20), 3)].reshape(3, 20)
    assert 0 < np.isfinite(own[2]).sum() + np.isfinite(own[0]).sum() < 40
    for k in (1, 2, 3):
        best = np.nanmin(np.where(np.isnan(own[:k]), np.inf, own[:k]), axis=0)
        reached = result.best_of(k)
        assert reached.match_rate.value == np.isfinite(best).mean()
        assert reached.rmse.value == pytest.approx(best[np.isfinite(best)].mean())
    for rows, part in ((slice(0, 20), result.first), (slice(0, 60), result.everyone)):
        best = np.where(np.isnan(rms[rows]), np.inf, rms[rows]).min(0)
        assert part.metre.value == np.isfinite(best).mean()
        assert part.crmse.value == pytest.approx(np.where(np.isfinite(best), best, 0.5).mean())
    assert result.everyone.metre.value >= result.best_of(3).match_rate.value
