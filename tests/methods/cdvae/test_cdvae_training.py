"""CDVAE learns, resumes to the bit, and is trained, packaged and asked like any other system."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowllm.errors import InputError
from flowllm.methods.cdvae.batches import CrystalsInBatches
from flowllm.methods.cdvae.loss import CDVAELoss
from flowllm.methods.cdvae.settings import CDVAESettings, CDVAETrainSettings
from flowllm.methods.cdvae.train import energies_of, train_cdvae
from flowllm.systems.system import FlowLLM
from flowllm.systems.training import TrainingTask
from flowllm.workflows.train.cdvae import take_refiner
from flowllm.workflows.train.system import SystemTraining, train_system
from tests.methods.cdvae.conftest import SETTINGS, SIZES, untrained

pytestmark = pytest.mark.slow


def losses(model, crystals) -> dict[str, float]:
    """On one draw of noise, in predicted cells."""
    rows = CrystalsInBatches(
        crystals.crystals, energies_of(crystals), model.statistics, batch_size=48, epochs=1,
        seed=77, latent=SIZES.latent, levels=8, teacher_share=0.0,
    )  # fmt: skip
    with torch.no_grad():
        found = CDVAELoss(deepcopy(model.network).float(), model.statistics, SETTINGS)(**rows[0])
    return {name: float(value) for name, value in found.items()}


def test_every_part_of_the_bound_falls(trained, crystals):
    before, after = losses(untrained(crystals), crystals), losses(trained, crystals)
    assert after["loss"] < 0.5 * before["loss"]
    for part in ("number", "cell", "composition", "species", "energy"):
        assert after[f"{part}_loss"] < 0.8 * before[f"{part}_loss"], part
    assert after["coords_loss"] < before["coords_loss"]


def test_the_log_holds_every_part(trained, run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    names = {name for line in lines for name in line}
    assert {"loss", "kl_loss", "coords_loss", "eval_loss"} <= names


def test_an_interrupted_training_ends_as_a_whole_one(crystals, tmp_path):
    settings = replace(SETTINGS, epochs=12, save_steps=8, eval_steps=10, log_steps=4)
    whole = train_cdvae(crystals, crystals, settings, tmp_path / "whole", "cpu")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 11:
            raise Killed

    with pytest.raises(Killed):
        train_cdvae(crystals, crystals, settings, tmp_path / "cut", "cpu", kill)
    again = train_cdvae(crystals, crystals, settings, tmp_path / "cut", "cpu")
    assert again.digest() == whole.digest()


def test_noise_comes_from_the_step_alone(crystals):
    def rows(seed: int) -> CrystalsInBatches:
        return CrystalsInBatches(
            crystals.crystals, energies_of(crystals), untrained(crystals).statistics,
            batch_size=16, epochs=4, seed=seed, latent=4, levels=8, teacher_share=0.5,
        )  # fmt: skip

    first, again = rows(0), rows(0)
    late = again[10]
    for name, value in first[10].items():
        assert torch.equal(value, late[name]), name
    assert not torch.equal(first[9]["latent_noise"], late["latent_noise"])
    assert not torch.equal(rows(1)[10]["latent_noise"], late["latent_noise"])
    assert [bool(first[k]["teacher"]) for k in (0, 5, 6, 11)] == [True, True, False, False]


def test_the_system_is_trained_packaged_and_asked(prepared, tmp_path):
    """On CIFs of one's own, without any energies."""
    small = replace(SETTINGS, epochs=30)
    folder = train_system("cdvae", prepared, tmp_path, SystemTraining(prior=small), workers=1)
    assert folder is not None
    system = FlowLLM.from_pretrained(folder, "cpu")
    assert (system.prior.kind, system.refiner.kind) == ("cdvae", "cdvae")
    assert not list(folder.rglob("*.bin")) and (folder / "prior" / "log.jsonl").is_file()
    made = system.generate(4, seed=1, refinement=CDVAESettings(steps_per_level=2, record=4))
    assert len(made.refined) == 4 and len(made.trajectory) == 4
    alone = system.generate(2, seed=1, refinement=CDVAESettings(steps_per_level=2))
    assert np.array_equal(alone.refined.atomic_numbers, made.refined[:2].atomic_numbers)
    assert system.generate(2, num_atoms=3).refined.num_atoms.tolist() == [3, 3]
    for asked in ({"composition": "Na1 Cl1"}, {"elements": "Na,Cl"}, {"band_gap": 1.0}):
        with pytest.raises(InputError, match="cdvae does not support the condition"):
            system.generate(1, **asked)
    # again: nothing is left to do, and the system stays the same
    before = system.digest()
    train_system("cdvae", prepared, tmp_path, SystemTraining(prior=small), workers=1)
    assert FlowLLM.from_pretrained(folder, "cpu").digest() == before


def test_the_refiner_is_not_trained_alone(tmp_path):
    with pytest.raises(InputError, match="trained with its prior"):
        take_refiner(TrainingTask("cdvae", "mp_20", tmp_path / "refiner"))


@pytest.mark.parametrize(
    "values",
    [{"epochs": 0}, {"kl_weight": -1.0}, {"teacher_share": 2.0}, {"optimizer": "sgd"},
     {"learning_rate": 0.0}, {"ema_decay": 1.0}, {"seed": -1}],
)  # fmt: skip
def test_training_settings_out_of_range_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values)).replace("_", ".")):
        CDVAETrainSettings(**values)
