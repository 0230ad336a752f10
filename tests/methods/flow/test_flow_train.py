"""Training: the loss, the batches, the average, and a run that is killed and taken up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flowllm.errors import InputError
from flowllm.manifolds import CrystalState, cell_map
from flowllm.methods.flow import (
    FlowMatcher,
    FlowRefiner,
    FlowTrainSettings,
    PairSet,
    RefineSettings,
    align,
    train_flow,
)
from flowllm.methods.flow.batches import PairBatches, epoch_batches
from flowllm.methods.flow.train import split_pairs
from flowllm.networks.settings import VelocityConfig
from flowllm.training.checkpoints import last_checkpoint
from flowllm.training.log import read_log

pytestmark = pytest.mark.slow

TINY = VelocityConfig(hidden=16, layers=1, time_dim=8, num_frequencies=3, distance_features=4)


def tiny_settings(**changes) -> FlowTrainSettings:
    values = {
        "network": TINY,
        "epochs": 3,
        "batch_size": 16,
        "log_steps": 5,
        "eval_steps": 10,
        "save_steps": 5,
        "validation_share": 0.1,
        "weight_decay": 0.0,
        "coord_weight": 200.0,
        "max_distance": 0.25,
        "max_strain": 10.0,
        "coord_noise": 0.01,
        "cell_noise": 0.01,
        "device": "cpu",
        "half": False,
    }
    return FlowTrainSettings(**{**values, **changes})


def matcher_and_batch(pairs, size=20):
    torch.manual_seed(0)
    matcher = FlowMatcher(TINY, pairs.statistics(), 200.0)
    data = PairBatches(pairs, TINY.cell_map, size, 1, seed=0)
    return matcher, data[0]


# ---- loss ------------------------------------------------------------------------------------


def test_no_motion_leaves_the_variance_of_the_target(noisy_pairs):
    """The output layers start at zero, so the first loss is known from the statistics."""
    matcher, _ = matcher_and_batch(noisy_pairs)
    batch = PairBatches(noisy_pairs, TINY.cell_map, len(noisy_pairs), 1, seed=0)[0]
    losses = matcher(**batch)
    assert losses["cell_loss"].item() == pytest.approx(1.0, abs=1e-4)
    velocities, crystal = noisy_pairs.coord_velocities(), noisy_pairs.c1.crystal_of_atom
    squared = np.bincount(crystal, weights=(velocities**2).sum(1)) / (3 * noisy_pairs.c1.num_atoms)
    std = noisy_pairs.statistics().coord_velocity_std
    assert losses["coord_loss"].item() == pytest.approx(squared.mean() / std**2, rel=1e-4)
    expected = 200 * squared.mean() + losses["cell_loss"].item()
    assert losses["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_the_loss_vanishes_for_the_true_velocity(noisy_pairs, monkeypatch):
    matcher, batch = matcher_and_batch(noisy_pairs)
    from flowllm.manifolds import CrystalManifold

    manifold = CrystalManifold(batch["mask"])
    start, end = (CrystalState(batch[f"frac_coords{k}"], batch[f"cell{k}"]) for k in (0, 1))
    target = matcher.velocity.standardise_target(manifold.proju(start, manifold.logmap(start, end)))
    monkeypatch.setattr(matcher.velocity, "standardised", lambda *a: target)
    assert matcher(**batch)["loss"].item() < 1e-10


def test_the_network_sees_the_point_on_the_geodesic(noisy_pairs, monkeypatch):
    matcher, batch = matcher_and_batch(noisy_pairs)
    seen = []
    original = matcher.velocity.standardised
    monkeypatch.setattr(
        matcher.velocity, "standardised", lambda *a: (seen.append(a), original(*a))[1]
    )
    for time, k in ((0.0, 0), (1.0, 1)):
        matcher(**{**batch, "t": torch.full_like(batch["t"], time)})
        difference = seen[-1][1].coords - batch[f"frac_coords{k}"]
        assert (difference - difference.round()).abs().max() < 1e-6
        assert torch.allclose(seen[-1][1].cell, batch[f"cell{k}"], atol=1e-6)


def test_times_are_drawn_if_none_are_given(noisy_pairs):
    matcher, batch = matcher_and_batch(noisy_pairs)
    for head in (matcher.velocity.net.coord_head, matcher.velocity.net.cell_head):
        torch.nn.init.normal_(head.weight)
    del batch["t"]
    assert matcher(**batch)["loss"] != matcher(**batch)["loss"]


# ---- batches ---------------------------------------------------------------------------------


def test_an_epoch_holds_each_pair_once_with_like_sizes_together(real_crystals):
    sizes = np.random.default_rng(0).integers(1, 21, 1003)
    batches = epoch_batches(sizes, 40, seed=0, epoch=2)
    assert sorted(np.concatenate(batches)) == list(range(1003))
    assert {len(b) for b in batches} == {25, 26}
    padded = sum(len(b) * sizes[b].max() for b in batches)
    assert padded < 1.1 * sizes.sum()
    again, other = (epoch_batches(sizes, 40, seed=0, epoch=e) for e in (2, 3))
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(batches, other, strict=True))


def test_a_batch_depends_on_seed_and_step_only(noisy_pairs):
    first, second = (PairBatches(noisy_pairs, TINY.cell_map, 16, 3, 5, 0.01, 0.1) for _ in range(2))
    for step in (7, 2, 20):
        a, b = first[step], second[step]
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(first[0]["t"], first[8]["t"])
    with pytest.raises(IndexError):
        first[len(first)]


def test_noise_moves_the_start_only(noisy_pairs):
    plain = PairBatches(noisy_pairs, TINY.cell_map, 16, 1, 5)[0]
    moved = PairBatches(noisy_pairs, TINY.cell_map, 16, 1, 5, 0.01, 0.1)[0]
    for name in ("types", "frac_coords1", "cell1", "mask", "t"):
        assert torch.equal(plain[name], moved[name])
    difference = (moved["frac_coords0"] - plain["frac_coords0"])[plain["mask"]]
    assert 0.008 < difference.std() < 0.012
    assert (moved["frac_coords0"][~plain["mask"]] == 0).all()
    assert (moved["cell0"] - plain["cell0"]).abs().max() > 0.001


def test_batches_hold_the_crystals(noisy_pairs):
    data = PairBatches(noisy_pairs, TINY.cell_map, 16, 1, 5)
    batch = data.collate(np.array([3, 50]), np.array([0.1, 0.9]))
    types, coords, mask = noisy_pairs.c1[[3, 50]].padded()
    assert np.array_equal(batch["types"], types) and np.array_equal(batch["mask"], mask)
    assert np.allclose(batch["frac_coords1"], coords, atol=1e-6)
    lengths, _ = cell_map(TINY.cell_map).from_flat(batch["cell1"])
    assert np.allclose(lengths, noisy_pairs.c1[[3, 50]].lengths, rtol=1e-5)


def test_all_pairs_of_a_target_fall_on_one_side(noisy_pairs):
    doubled = PairSet.concatenate([noisy_pairs, noisy_pairs])
    training, validation = split_pairs(doubled, 0.1, seed=0)
    assert not set(training.c1.ids) & set(validation.c1.ids)
    assert len(training) + len(validation) == len(doubled) and len(validation) == 24
    assert len(split_pairs(noisy_pairs, 0.0, seed=0)[1]) == 0


# ---- runs ------------------------------------------------------------------------------------


SCRIPT = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
import torch
torch.set_num_threads(1)
from flowllm.methods.flow import PairSet, train_flow
from test_flow_train import tiny_settings

def kill(step, total):
    if step == 13:
        os.kill(os.getpid(), signal.SIGKILL)

train_flow(PairSet.load(sys.argv[1]), tiny_settings(), sys.argv[2], kill)
"""


def test_a_killed_run_that_goes_on_equals_an_uninterrupted_one(noisy_pairs, tmp_path):
    noisy_pairs.save(tmp_path / "pairs.npz")
    folder = tmp_path / "killed"
    here = Path(__file__).parent
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "pairs.npz"), str(folder), str(here)]
    result = subprocess.run(
        arguments, check=False, cwd=here.parents[2], env=environment, capture_output=True
    )
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    assert last_checkpoint(folder / "checkpoints").name == "checkpoint-10"
    # A checkpoint that the kill cut off is no obstacle.
    (folder / "checkpoints" / "checkpoint-13").mkdir()
    (folder / "checkpoints" / "checkpoint-13" / "model.safetensors").write_bytes(b"half")
    seen = []
    resumed = train_flow(noisy_pairs, tiny_settings(), folder, lambda *a: seen.append(a))
    assert seen[0] == (11, 21) and seen[-1] == (21, 21)
    whole = train_flow(noisy_pairs, tiny_settings(), tmp_path / "whole")
    for (name, a), b in zip(
        resumed.velocity.net.state_dict().items(),
        whole.velocity.net.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b), name
    ends = [
        load_file(f / "checkpoints" / "checkpoint-21" / "model.safetensors")
        for f in (folder, tmp_path / "whole")
    ]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    logs = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(f / "log.jsonl")]
        for f in (folder, tmp_path / "whole")
    ]
    assert logs[0] == logs[1]


def test_the_threads_that_are_asked_for_compute_and_bind_no_run(noisy_pairs, tmp_path):
    before, seen = torch.get_num_threads(), []
    settings = tiny_settings(epochs=1, threads=before + 1)
    train_flow(noisy_pairs, settings, tmp_path, lambda *_: seen.append(torch.get_num_threads()))
    assert set(seen) == {before + 1} and torch.get_num_threads() == before
    assert settings.binding() == tiny_settings(epochs=1).binding()
    with pytest.raises(InputError, match="threads must be from 0"):
        train_flow(noisy_pairs, tiny_settings(threads=-1), tmp_path / "none")


def test_the_loss_falls_on_real_crystals_and_the_flow_helps(real_crystals, perturbed, tmp_path):
    c0, c1 = perturbed(real_crystals[:100], seed=4, noise=0.06)
    c0 = c0.replace(lengths=c0.lengths * 1.1)
    pairs = PairSet(align(c0, c1), c1)
    settings = tiny_settings(
        network=VelocityConfig(hidden=48, layers=2, time_dim=16, num_frequencies=5),
        epochs=40,
        validation_share=0.0,
        learning_rate=4e-3,
        log_steps=20,
        save_steps=1000,
        ema_decay=0.9,
        coord_noise=0.0,
        cell_noise=0.0,
    )
    refiner = train_flow(pairs, settings, tmp_path)
    log = read_log(tmp_path / "log.jsonl")
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert log[-1]["coord_loss"] < 0.85
    # Every sample's cell is 10 % too long; the flow puts that right.
    refined = refiner.refine(pairs.c0, RefineSettings(steps=10)).last
    before, after = (np.log(c.volumes / c1.volumes).mean() for c in (pairs.c0, refined))
    assert before > 0.2 and abs(after) < 0.05
    loaded = FlowRefiner.from_pretrained(tmp_path / "model", "cpu").refine(
        pairs.c0, RefineSettings(steps=10)
    )
    assert np.array_equal(loaded.last.lengths, refined.lengths)


def test_what_a_run_leaves_behind(noisy_pairs, tmp_path):
    settings = tiny_settings(epochs=2, half=True)
    train_flow(noisy_pairs, settings, tmp_path)
    checkpoints = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert checkpoints == ["checkpoint-10", "checkpoint-14"]
    names = {p.name for p in (tmp_path / "checkpoints" / "checkpoint-14").iterdir()}
    assert "training_args.bin" not in names and "ema.safetensors" in names
    log = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in log if "loss" in line] == [5, 10, 14]
    assert [line["step"] for line in log if "eval_loss" in line] == [10, 14]
    everywhere = {"step", "epoch", "seconds"}
    losses = {"loss", "coord_loss", "cell_loss"}
    assert set(log[0]) == {*everywhere, *losses, "grad_norm", "learning_rate"}
    assert set(log[-1]) == {*everywhere, *(f"eval_{name}" for name in losses)}
    assert log[-1]["epoch"] == 2.0 and log[0]["learning_rate"] > log[-2]["learning_rate"]
    # A finished run, started again, changes nothing.
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    seen = []
    train_flow(noisy_pairs, settings, tmp_path, lambda *a: seen.append(a))
    assert seen == [] and (tmp_path / "model" / "model.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="epochs is 2 there and 9 now"):
        train_flow(noisy_pairs, tiny_settings(epochs=9, half=True), tmp_path)
    with pytest.raises(InputError, match="pairs is .* there and .* now"):
        train_flow(noisy_pairs[:50], settings, tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json is not readable JSON"):
        train_flow(noisy_pairs, settings, tmp_path)


def test_the_average_follows_its_recurrence(noisy_pairs, tmp_path):
    """From the weights of every step, saved as checkpoints, the average is recomputed by hand."""
    weights = []

    def remember(step, total):
        newest = max(
            tmp_path.glob("checkpoints/checkpoint-*"),
            key=lambda p: int(p.name.split("-")[1]),
            default=None,
        )
        if newest is not None:
            weights.append(load_file(newest / "model.safetensors"))

    settings = tiny_settings(epochs=1, save_steps=1, eval_steps=100)
    train_flow(noisy_pairs, settings, tmp_path, remember)
    weights.append(load_file(tmp_path / "checkpoints" / "checkpoint-7" / "model.safetensors"))
    averages = load_file(tmp_path / "checkpoints" / "checkpoint-7" / "ema.safetensors")
    assert len(weights) == 7
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        start = FlowMatcher(TINY, noisy_pairs.statistics(), 200.0).state_dict()
    for name, average in averages.items():
        expected = start[name]
        for step, values in enumerate(weights, start=1):
            decay = min(0.999, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * values[name]
        assert torch.allclose(average, expected, atol=1e-6), name


def test_a_loss_that_is_not_finite_stops_the_run(noisy_pairs, tmp_path, monkeypatch):
    original = FlowMatcher.forward

    def broken(self, *arguments, **inputs):
        losses = original(self, *arguments, **inputs)
        return {name: value * float("nan") for name, value in losses.items()}

    monkeypatch.setattr(FlowMatcher, "forward", broken)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        train_flow(noisy_pairs, tiny_settings(), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"ema_decay": 1.0},
        {"validation_share": -0.1},
        {"coord_noise": -1.0},
        {"seed": -1},
        {"bf16": True},
    ],
)
def test_bad_settings_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        tiny_settings(**change)


def test_too_few_pairs_are_refused(noisy_pairs, tmp_path):
    with pytest.raises(InputError, match="at least 2"):
        train_flow(noisy_pairs[:1], tiny_settings(), tmp_path)
