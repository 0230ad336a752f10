"""Training of DiffCSP: batches, loss, exact resume, and networks that learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.diffcsp.batches import HeldOutNoise, NoiseBatches
from flowllm.methods.diffcsp.loss import DiffCSPMatcher
from flowllm.methods.diffcsp.settings import DiffCSPTrainSettings
from flowllm.methods.diffcsp.train import train_task
from flowllm.systems.training import TrainingTask
from flowllm.training.log import read_log
from flowllm.training.losses import mean_losses
from flowllm.workflows.train.diffcsp import train_refiner
from tests.methods.diffcsp.conftest import TINY

TASKS = ("csp", "dng")


def tiny(**changes) -> DiffCSPTrainSettings:
    values = {
        "network": TINY, "epochs": 2, "batch_size": 16, "log_steps": 2, "eval_steps": 5,
        "save_steps": 4, "validation_rows": 32, "half": False,
    }  # fmt: skip
    return DiffCSPTrainSettings(**{**values, **changes})


def batches(crystals: CrystalBatch, task: str, **changes) -> NoiseBatches:
    settings = tiny(**changes)
    return NoiseBatches(
        crystals, task == "dng", settings.batch_size, settings.epochs, settings.seed
    )


def test_batches_are_a_function_of_seed_and_step(crystals):
    for task in TASKS:
        one, again = (batches(crystals, task) for _ in range(2))
        assert len(one) == 20
        for name, value in again[13].items():
            assert torch.equal(value, one[13][name]), name
        assert one[0]["species_noise"].shape[-1] == (100 if task == "dng" else 0)
        other = batches(crystals, task, seed=1)
        assert not torch.equal(other[13]["coord_noise"], one[13]["coord_noise"])


def test_an_epoch_holds_every_crystal_once_with_normal_noise_at_all_levels(crystals):
    data = batches(crystals, "dng", batch_size=40)
    parts = [data[step] for step in range(4)]
    found = sorted(tuple(row.flatten().tolist()) for part in parts for row in part["lattices"])
    assert found == sorted(tuple(row.flatten().tolist()) for row in torch.from_numpy(data.lattices))
    for name in ("coord_noise", "lattice_noise", "species_noise"):
        noise = torch.cat([part[name].flatten() for part in parts]).numpy()
        assert scipy.stats.kstest(noise[:20_000], "norm").pvalue > 1e-3
    steps = torch.cat([part["step"] for part in parts]).numpy()
    assert 1 <= steps.min() < 50 and 950 < steps.max() <= 1000
    assert scipy.stats.kstest(steps / 1000, "uniform").pvalue > 0.05


def test_validation_never_changes(crystals):
    data = batches(crystals, "dng")
    one, again = (HeldOutNoise(crystals[:40], data) for _ in range(2))
    assert len(one) == 3
    for first, second in zip(one, again, strict=True):
        assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("task", TASKS)
def test_a_network_that_predicts_nothing_has_a_loss_of_the_targets_variance(crystals, task):
    config = replace(TINY, draws_species=task == "dng", preconditioned=False)
    matcher = DiffCSPMatcher(config, tiny(network=config))
    data = batches(crystals, task, epochs=20)
    losses = mean_losses(matcher, (data[k] for k in range(len(data))), "cpu")
    names = ["coord_loss", "lattice_loss"] + ["species_loss"] * (task == "dng")
    for name in names:
        assert losses[name] == pytest.approx(1.0, abs=0.06), name
    expected = sum(losses[n] * (20 if n == "species_loss" else 1) for n in names)
    assert losses["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_an_interrupted_run_goes_on_to_the_same_bits(crystals, tmp_path, task):
    def run(folder, progress=None):
        train, held_out = crystals[:64], crystals[64:96]
        return train_task(task, train, held_out, tiny(), tmp_path / folder, "cpu", progress)

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 6:
            raise Stop

    whole = run("whole")
    with pytest.raises(Stop):
        run("stopped", stop)
    seen: list[tuple[int, int]] = []
    resumed = run("stopped", lambda *step: seen.append(step))
    assert seen[0] == (5, 8) and seen[-1] == (8, 8)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    logs = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(path / "log.jsonl")]
        for path in (tmp_path / "whole", tmp_path / "stopped")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("task", TASKS)
def test_training_on_64_crystals_beats_untrained_weights(crystals, tmp_path, task):
    train = crystals[(crystals.num_atoms > 2) & (crystals.num_atoms <= 8)][:64]
    assert len(train) == 64
    network = replace(TINY, hidden=64, layers=3, num_frequencies=8, distance_features=8)
    settings = tiny(
        network=network, epochs=100, optimizer="adamw", learning_rate=4e-3, ema_decay=0.95,
        eval_steps=1000, save_steps=1000,
    )  # fmt: skip
    trained = train_task(task, train, train, settings, tmp_path, "cpu")
    config = trained.config
    matchers = [DiffCSPMatcher(config, settings) for _ in range(2)]
    matchers[1].network = trained
    data = batches(train, task, seed=99, epochs=4)
    scores = [
        mean_losses(one.eval(), (data[k] for k in range(len(data))), "cpu") for one in matchers
    ]
    log = [line["loss"] for line in read_log(tmp_path / "log.jsonl") if "loss" in line]
    assert np.mean(log[-5:]) < np.mean(log[:5])
    for name, value in scores[0].items():
        assert scores[1][name] < 0.95 * value, (name, scores)


def test_a_system_trains_what_its_prior_leaves_open(crystals, prepared, tmp_path):
    prior, out = tmp_path / "prior", tmp_path / "refiner"
    OpenPrior.fit("diffcsp-base", crystals).save(prior)
    (tmp_path / "language-model").mkdir()

    def run(folder, prior, **changes) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        settings = tiny(**{"epochs": 1, **changes})
        train_refiner(
            TrainingTask(
                "diffcsp", prepared, folder, settings, device="cpu", prior=prior,
                progress=lambda *step: seen.append(step),
            )
        )  # fmt: skip
        return seen

    assert run(out, prior, task="csp")
    assert [path.name for path in (out / "model").iterdir()] == ["csp"]
    weights = (out / "model" / "csp" / "model.safetensors").read_bytes()
    both = run(out, prior)
    assert both[-1][0] == both[-1][1]
    assert sorted(path.name for path in (out / "model").iterdir()) == ["csp", "dng"]
    assert (out / "model" / "csp" / "model.safetensors").read_bytes() == weights
    assert run(out, prior) == []
    with pytest.raises(InputError, match="batch_size"):
        run(out, prior, batch_size=8)
    writes_species = tmp_path / "language-model"
    run(tmp_path / "crysllmgen", writes_species)
    assert [path.name for path in (tmp_path / "crysllmgen" / "model").iterdir()] == ["csp"]
    with pytest.raises(InputError, match="gives all species"):
        run(tmp_path / "other", writes_species, task="dng")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"task": "all"}, "no task 'all'"), ({"epochs": 0}, "epochs"), ({"ema_decay": 1.0}, "ema"),
     ({"learning_rate": 0.0}, "learning_rate"), ({"optimizer": "sgd"}, "neither muon nor adamw"),
     ({"coord_weight": 0.0, "lattice_weight": 0.0}, "must not both be 0")],
)  # fmt: skip
def test_training_settings_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        DiffCSPTrainSettings(**change)
