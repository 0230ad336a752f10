"""Training of FlowMM: base, loss, exact resume, and networks that learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import OpenCrystalState
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.flowmm.batches import BaseBatches, HeldOutCrystals, base_statistics
from flowllm.methods.flowmm.loss import FlowMMMatcher
from flowllm.methods.flowmm.path import OpenGeodesicPath
from flowllm.methods.flowmm.settings import FlowMMTrainSettings
from flowllm.methods.flowmm.train import train_task
from flowllm.systems.training import TrainingTask
from flowllm.training.log import read_log
from flowllm.training.losses import mean_losses
from flowllm.workflows.train.flowmm import train_refiner
from tests.methods.flowmm.conftest import TINY

pytestmark = pytest.mark.slow

TASKS = ("csp", "dng")


def tiny(**changes) -> FlowMMTrainSettings:
    values = {
        "network": TINY, "epochs": 2, "batch_size": 16, "log_steps": 2, "eval_steps": 5,
        "save_steps": 4, "validation_rows": 32, "half": False,
    }  # fmt: skip
    return FlowMMTrainSettings(**{**values, **changes})


def batches(crystals, base, task: str, **changes) -> BaseBatches:
    settings = tiny(**changes)
    return BaseBatches(
        crystals, base, "flowmm", task == "dng", settings.batch_size, settings.epochs, settings.seed
    )


def test_the_base_of_training_has_the_distribution_of_the_priors(base):
    sizes = np.full(1500, 3)
    numbers = np.zeros(sizes.sum(), dtype=np.int64)
    many = base.put_many(numbers, sizes, np.random.default_rng(0))
    single = CrystalBatch.concatenate(base.put(numbers[:3], seed) for seed in range(1500))
    for name in ("lengths", "angles", "frac_coords"):
        for one, other in zip(getattr(many, name).T, getattr(single, name).T, strict=True):
            assert scipy.stats.ks_2samp(one, other).pvalue > 1e-3, name
    assert (many.volumes > 0.1 * many.lengths.prod(1)).all()


def test_batches_are_a_function_of_seed_and_step(crystals, base):
    for task in TASKS:
        one, again = (batches(crystals, base, task) for _ in range(2))
        assert len(one) == 20
        for name, value in again[13].items():
            assert torch.equal(value, one[13][name]), name
        assert one[0]["bits0"].shape[-1] == (7 if task == "dng" else 0)
        other = batches(crystals, base, task, seed=1)
        assert not torch.equal(other[13]["t"], one[13]["t"])


def test_an_epoch_holds_every_crystal_once_and_bits_are_standard_normal(crystals, base):
    data = batches(crystals, base, "dng", batch_size=40)
    parts = [data[step] for step in range(4)]
    found = sorted(tuple(row.tolist()) for part in parts for row in part["cell1"])
    assert found == sorted(tuple(row.tolist()) for row in torch.from_numpy(data.cells))
    bits = torch.cat([part["bits0"][part["mask"]].flatten() for part in parts]).numpy()
    assert scipy.stats.kstest(bits, "norm").pvalue > 1e-3
    assert all((part["bits0"][~part["mask"]] == 0).all() for part in parts)


def test_validation_never_changes(crystals, base):
    data = batches(crystals, base, "dng")
    one, again = (HeldOutCrystals(crystals[:40], data) for _ in range(2))
    assert len(one) == 3
    for first, second in zip(one, again, strict=True):
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_crystal_of_an_element_without_bits_is_named(crystals, base):
    wrong = crystals[:2].replace(atomic_numbers=np.full(crystals[:2].num_atoms.sum(), 103))
    with pytest.raises(InputError, match=f"{crystals.ids[0]}: FlowMM supports the elements"):
        batches(wrong, base, "csp")


@pytest.mark.parametrize("task", TASKS)
def test_a_network_that_moves_nothing_has_a_loss_of_the_targets_variance(crystals, base, task):
    config = replace(TINY, draws_species=task == "dng")
    matcher = FlowMMMatcher(config, base_statistics(crystals, base, "flowmm"), tiny())
    data = batches(crystals, base, task, epochs=20)
    losses = mean_losses(matcher, (data[k] for k in range(len(data))), "cpu")
    std2 = matcher.velocity.statistics.coord_velocity_std**2
    expected = {"coord_loss": 1.0, "cell_loss": 1.0}
    total, weights = 401.0, 400 * std2 * losses["coord_loss"] + losses["cell_loss"]
    if task == "dng":
        expected["species_loss"], total = 1.0, 441.0
        weights += 40 * 2 * losses["species_loss"]
    for name, value in expected.items():
        assert losses[name] == pytest.approx(value, abs=0.1), name
    assert losses["loss"] == pytest.approx(weights / total, rel=1e-4)


def test_the_target_of_coordinates_is_mean_free_and_blind_to_a_translation(crystals, base):
    batch = batches(crystals, base, "csp")[0]
    mask, empty = batch["mask"], batch["bits0"]
    start = OpenCrystalState(batch["frac_coords0"], batch["cell0"], empty)
    ends = [batch["frac_coords1"], (batch["frac_coords1"] + 1e-3) % 1.0]
    one, other = (
        OpenGeodesicPath(start, OpenCrystalState(end, batch["cell1"], empty), mask).velocity()
        for end in ends
    )
    assert one.coords.sum(1).abs().max() < 1e-5
    gap = (one.coords - other.coords).abs().amax((1, 2))
    # a displacement that a thousandth takes past one half goes the other way; few do
    assert (gap < 1e-5).float().mean() > 0.8


@pytest.mark.parametrize("task", TASKS)
def test_an_interrupted_run_goes_on_to_the_same_bits(crystals, base, tmp_path, task):
    def run(folder, progress=None):
        train, held_out = crystals[:64], crystals[64:96]
        return train_task(task, train, held_out, base, tiny(), tmp_path / folder, "cpu", progress)

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
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[name]), name
    logs = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(path / "log.jsonl")]
        for path in (tmp_path / "whole", tmp_path / "stopped")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("task", TASKS)
def test_training_on_64_crystals_beats_untrained_weights(crystals, base, tmp_path, task):
    train = crystals[crystals.num_atoms <= 8][:64]
    network = replace(TINY, hidden=48, num_frequencies=8)
    settings = tiny(network=network, epochs=60, learning_rate=1e-2, ema_decay=0.9, eval_steps=1000)
    velocity = train_task(task, train, train, base, settings, tmp_path, "cpu")
    config = replace(network, draws_species=task == "dng")
    trained, untrained = (FlowMMMatcher(config, velocity.statistics, settings) for _ in range(2))
    trained.velocity = velocity
    data = batches(train, base, task, seed=99)
    scores = [
        mean_losses(one.eval(), (data[k] for k in range(len(data))), "cpu")
        for one in (untrained, trained)
    ]
    for name, value in scores[0].items():
        # coordinates come last: at most times the way of an atom can hardly be known
        most = 0.97 if name == "coord_loss" else 0.9
        assert scores[1][name] < most * value, (name, scores)


def test_each_task_is_trained_once_and_the_other_can_be_added(crystals, prepared, tmp_path):
    from flowllm.data import load_dataset

    prior, out = tmp_path / "prior", tmp_path / "refiner"
    OpenPrior.fit("flowmm-base", load_dataset(prepared, "train").crystals).save(prior)

    def run(task: str) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        settings = tiny(task=task, epochs=1)
        train_refiner(
            TrainingTask(
                "flowmm",
                prepared,
                out,
                settings,
                device="cpu",
                prior=prior,
                progress=lambda *step: seen.append(step),
            )
        )
        return seen

    assert run("csp")
    assert [path.name for path in (out / "model").iterdir()] == ["csp"]
    weights = (out / "model" / "csp" / "model.safetensors").read_bytes()
    both = run("both")
    assert both[-1][0] == both[-1][1]
    assert sorted(path.name for path in (out / "model").iterdir()) == ["csp", "dng"]
    assert (out / "model" / "csp" / "model.safetensors").read_bytes() == weights
    assert run("both") == []
    with pytest.raises(InputError, match="batch_size"):
        train_refiner(
            TrainingTask("flowmm", prepared, out, tiny(batch_size=8), device="cpu", prior=prior)
        )
    with pytest.raises(InputError, match="this prior has none"):
        train_refiner(TrainingTask("flowmm", prepared, out, tiny(), device="cpu"))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"task": "all"}, "unknown task 'all'"), ({"epochs": 0}, "epochs"),
     ({"ema_decay": 1.0}, "ema"), ({"learning_rate": 0.0}, "learning_rate"),
     ({"optimizer": "sgd"}, "neither muon nor adamw"),
     ({"coord_weight": 0.0, "cell_weight": 0.0}, "must not both be 0")],
)  # fmt: skip
def test_training_settings_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        FlowMMTrainSettings(**change)
