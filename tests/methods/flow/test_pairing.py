"""Making pairs: redraws, the closest sample, interruption, statistics, files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.manifolds import CELL_MAPS
from flowllm.methods.flow import PairSet, build_pairs
from flowllm.methods.flow.batches import PairBatches
from flowllm.methods.flow.couplings.files import join_pairs
from flowllm.methods.flow.couplings.sample import sample_seed, target_order
from flowllm.teaching.paths import conditional_path
from tests.methods.flow.noisy_prior import NoisyPrior

pytestmark = pytest.mark.slow


def build(targets, prior, out, num_pairs=23, chunk_size=5, **options):
    return build_pairs(
        targets,
        prior,
        {"temperature": 0.9},
        out,
        num_pairs,
        3,
        chunk_size,
        **options,
    )


def same(a: PairSet, b: PairSet) -> bool:
    return all(np.array_equal(x, b.arrays()[name]) for name, x in a.arrays().items())


def test_pairs_correspond_and_come_nearer(real_crystals, tmp_path):
    targets = real_crystals[:12]
    pairs = build(targets, NoisyPrior(), tmp_path)
    assert len(pairs) == 23
    assert set(pairs.c1.ids) == set(targets.ids)
    assert np.array_equal(pairs.c0.atomic_numbers, pairs.c1.atomic_numbers)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["pairs"] == summary["drawn"] == summary["requested_draws"] == 23
    assert summary["failed"] == summary["mismatched"] == summary["dropped_targets"] == 0
    aligned = summary["mean_squared_torus_distance_aligned"]
    assert aligned == pytest.approx(pairs.mean_squared_torus_distance)
    assert aligned < 0.6 * summary["mean_squared_torus_distance_list_order"]


def test_an_interrupted_run_goes_on_and_ends_the_same(real_crystals, tmp_path):
    targets = real_crystals[:12]
    whole = build(targets, NoisyPrior(0.2, 0.2), tmp_path / "whole")
    for stop_after in (3, 9):
        with pytest.raises(KeyboardInterrupt):
            build(targets, NoisyPrior(0.2, 0.2, stop_after), tmp_path / "cut")
    done = len(list((tmp_path / "cut").glob("chunk-*.npz")))
    assert 0 < done < 5
    seen = []
    again = build(
        targets, NoisyPrior(0.2, 0.2), tmp_path / "cut", progress=lambda *a: seen.append(a)
    )
    assert same(whole, again)
    assert seen[-1] == (23, 23) and len(seen) == 5
    summaries = [json.loads((tmp_path / f / "summary.json").read_text()) for f in ("whole", "cut")]
    speeds = [summary.pop("speed") for summary in summaries]
    assert summaries[0] == summaries[1]
    assert speeds[0]["new_pairs"] == len(whole) > speeds[1]["new_pairs"] > 0
    finished = NoisyPrior(stop_after=0)
    assert same(whole, build(targets, finished, tmp_path / "cut")) and finished.calls == 0


def test_a_longer_run_keeps_the_pairs_of_a_shorter_one(real_crystals, tmp_path):
    short = build(real_crystals[:12], NoisyPrior(), tmp_path, num_pairs=7)
    long = build(real_crystals[:12], NoisyPrior(), tmp_path, num_pairs=14)
    assert same(short, long[:7]) and len(long) == 14


def test_failures_and_mismatches_are_drawn_again_and_counted(real_crystals, tmp_path):
    prior = NoisyPrior(fail=0.3, mismatch=0.3)
    pairs = build(real_crystals[:12], prior, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["failed"] > 0 and summary["mismatched"] > 0
    assert summary["drawn"] == summary["failed"] + summary["mismatched"] + summary["pairs"]
    assert summary["pairs"] + summary["dropped_targets"] == 23 and len(pairs) == summary["pairs"]
    assert len(set(prior.seeds)) == len(prior.seeds) == summary["drawn"]
    assert 118 not in pairs.c0.atomic_numbers


def test_a_prior_that_never_succeeds_leaves_no_pairs(real_crystals, tmp_path):
    prior = NoisyPrior(fail=1.1)
    assert len(build(real_crystals[:3], prior, tmp_path, num_pairs=3)) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["dropped_targets"] == 3 and summary["drawn"] == 12


def test_the_closest_of_several_samples_is_kept(real_crystals, tmp_path):
    targets = real_crystals[:10]
    one, best, everything = (
        build(targets, NoisyPrior(), tmp_path / str(k), 10, samples_per_target=k, keep=keep)
        for k, keep in ((1, "closest"), (4, "closest"), (5, "all"))
    )
    assert len(best) == 10 and len(everything) == 50
    assert best.mean_squared_torus_distance < one.mean_squared_torus_distance
    assert np.array_equal(best.c1.ids, one.c1.ids)


def test_list_order_can_be_kept(real_crystals, tmp_path):
    pairs = build(real_crystals[:12], NoisyPrior(), tmp_path, alignment="list")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (
        summary["mean_squared_torus_distance_aligned"]
        == summary["mean_squared_torus_distance_list_order"]
    )
    assert pairs.mean_squared_torus_distance == pytest.approx(0.25, abs=0.08)


def test_another_run_in_the_same_folder_is_refused(real_crystals, tmp_path):
    build(real_crystals[:5], NoisyPrior(), tmp_path, num_pairs=5)
    with pytest.raises(InputError, match="targets is .* there and .* now"):
        build(real_crystals[:6], NoisyPrior(), tmp_path, num_pairs=5)
    with pytest.raises(InputError, match="keep"):
        build(real_crystals[:5], NoisyPrior(), tmp_path / "x", keep="best")
    with pytest.raises(InputError, match="num_pairs"):
        build(real_crystals[:5], NoisyPrior(), tmp_path / "x", num_pairs=0)


def test_every_target_comes_once_before_any_comes_twice():
    order = target_order(10, 25, seed=1)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert np.array_equal(order[:13], target_order(10, 13, seed=1))
    assert not np.array_equal(order, target_order(10, 25, seed=2))


def test_seeds_of_samples_all_differ():
    seeds = {sample_seed(0, p, k, a) for p in range(30) for k in range(4) for a in range(4)}
    assert len(seeds) == 480 and all(0 <= s < 2**63 for s in seeds)


def test_pairs_come_back_from_a_file(noisy_pairs, tmp_path):
    noisy_pairs.save(tmp_path / "pairs.npz")
    assert same(PairSet.load(tmp_path / "pairs.npz"), noisy_pairs)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="bad.npz contains no pairs"):
        PairSet.load(tmp_path / "bad.npz")
    with pytest.raises(InputError, match="no such file"):
        PairSet.load(tmp_path / "absent.npz")


def test_sides_that_do_not_correspond_are_refused(real_crystals, noisy_pairs):
    with pytest.raises(InputError, match="ids"):
        PairSet(
            noisy_pairs.c0, noisy_pairs.c1.replace(ids=[f"x{i}" for i in range(len(noisy_pairs))])
        )
    with pytest.raises(InputError, match="num_atoms"):
        PairSet(noisy_pairs.c0[:3], noisy_pairs.c1[:2])
    with pytest.raises(InputError, match="atomic_numbers"):
        PairSet(dressed(noisy_pairs.c0), noisy_pairs.c1)


def dressed(crystals):
    """The same places with hydrogen at the first of them."""
    numbers = crystals.atomic_numbers.copy()
    numbers[0] = 1
    return crystals.replace(atomic_numbers=numbers)


def test_species_may_differ_where_that_is_said(noisy_pairs, tmp_path):
    free = PairSet(dressed(noisy_pairs.c0), noisy_pairs.c1, same_species=False)
    assert free[:2].c0.atomic_numbers[0] == 1 and not free[:2].same_species
    both = PairSet.concatenate([noisy_pairs, free])
    assert len(both) == 2 * len(noisy_pairs) and not both.same_species
    assert PairSet.concatenate([noisy_pairs, noisy_pairs]).same_species
    for name in ("one", "two"):
        free.save(tmp_path / f"{name}.npz")
    loaded = PairSet.load(tmp_path / "one.npz")
    assert same(loaded, free) and not loaded.same_species
    with (tmp_path / "joined.npz").open("wb") as handle:
        join_pairs([tmp_path / "one.npz", tmp_path / "two.npz"], handle)
    joined = PairSet.load(tmp_path / "joined.npz")
    assert len(joined) == 2 * len(free) and not joined.same_species


def test_the_flow_takes_no_pairs_of_which_species_differ(noisy_pairs, tmp_path):
    free = PairSet(dressed(noisy_pairs.c0), noisy_pairs.c1, same_species=False)
    with pytest.raises(InputError, match=f"{free.c1.ids[0]}: sample and target differ in species"):
        PairBatches(free, "log-matrix", 4, 1, 0)
    with pytest.raises(InputError, match="differ in species"):
        conditional_path(free)
    PairBatches(PairSet(noisy_pairs.c0, noisy_pairs.c1, False), "log-matrix", 4, 1, 0)


@pytest.mark.parametrize("name", CELL_MAPS)
def test_statistics_standardise_the_pairs_they_come_from(noisy_pairs, name):
    import torch

    from flowllm.manifolds import cell_map

    statistics = noisy_pairs.statistics(name)
    flat0, flat1 = (
        cell_map(name).to_flat(torch.from_numpy(c.lengths), torch.from_numpy(c.angles)).numpy()
        for c in (noisy_pairs.c0, noisy_pairs.c1)
    )
    velocity = (flat1 - flat0 - statistics.cell_velocity_mean) / statistics.cell_velocity_std
    ends = (np.concatenate([flat0, flat1]) - statistics.cell_mean) / statistics.cell_std
    assert np.allclose(velocity.mean(0), 0, atol=1e-6) and np.allclose(ends.std(0), 1)
    moving = velocity.std(0) > 0.1  # a logit of angles that do not change has no spread
    assert np.allclose(velocity.std(0)[moving], 1) and moving[:3].all()
    targets = noisy_pairs.coord_velocities()
    assert np.sqrt((targets**2).mean()) == pytest.approx(statistics.coord_velocity_std)
    # Noise of 0.03 with the mean over atoms taken off.
    assert 0.02 < statistics.coord_velocity_std < 0.031


def test_statistics_of_nothing_are_refused(noisy_pairs):
    with pytest.raises(InputError, match="without pairs"):
        noisy_pairs[:0].statistics()
