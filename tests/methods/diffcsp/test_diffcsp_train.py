"""Training of DiffCSP: noise, loss, exact resume, and networks that learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from flowllm.data import load_dataset
from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError
from flowllm.manifolds.wrapped_normal import wrapped_log_density
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.diffcsp.batches import HeldOutNoise, NoiseBatches, cell_scale
from flowllm.methods.diffcsp.loss import DiffCSPMatcher
from flowllm.methods.diffcsp.schedule import schedule
from flowllm.methods.diffcsp.settings import DiffCSPSettings, DiffCSPTrainSettings
from flowllm.methods.diffcsp.train import train_task
from flowllm.methods.language_model.settings import CompactConfig, LMTrainSettings
from flowllm.networks.diffcsp_settings import NUM_SPECIES
from flowllm.systems.system import FlowLLM
from flowllm.systems.training import TrainingTask
from flowllm.training.log import read_log
from flowllm.training.losses import mean_losses
from flowllm.training.settings import TASKS
from flowllm.workflows.train.diffcsp import train_refiner
from flowllm.workflows.train.settings import LanguageModelSettings
from flowllm.workflows.train.system import SystemTraining, train_system
from tests.methods.diffcsp.conftest import TINY

pytestmark = pytest.mark.slow


def tiny(**change) -> DiffCSPTrainSettings:
    """Settings of a training of eight steps on 64 crystals."""
    values = {
        "network": TINY, "epochs": 2, "batch_size": 16, "validation_rows": 32, "eval_steps": 4,
        "save_steps": 5, "log_steps": 1, "half": False,
    }  # fmt: skip
    return DiffCSPTrainSettings(**{**values, **change})


def batches(crystals, task, batch_size=16, epochs=1, seed=0) -> NoiseBatches:
    return NoiseBatches(crystals, task == "dng", batch_size, epochs, seed)


# ---- batches and loss ----------------------------------------------------------------------------


def test_an_epoch_holds_every_crystal_once_and_noise_is_standard_normal(crystals):
    data = batches(crystals, "dng", batch_size=40)
    parts = [data[step] for step in range(4)]
    found = sorted(float(lattice.sum()) for part in parts for lattice in part["lattices"])
    assert found == pytest.approx(sorted(crystals.lattices.sum((1, 2)).tolist()), abs=1e-4)
    for name in ("coord_noise", "lattice_noise", "species_noise"):
        values = torch.cat([part[name].flatten() for part in parts]).numpy()[:5000]
        assert scipy.stats.kstest(values, "norm").pvalue > 1e-3, name
    for part in parts:
        levels = np.sort(part["step"].numpy())
        assert levels[0] >= 1 and levels[-1] <= 1000
        assert np.array_equal((levels - 1) * 40 // 1000, np.arange(40))  # spread evenly
    assert batches(crystals, "csp")[0]["species_noise"].shape[-1] == 0


def test_validation_never_changes(crystals):
    data = batches(crystals, "dng")
    one, again = (HeldOutNoise(crystals[:40], data) for _ in range(2))
    assert len(one) == 3
    for first, second in zip(one, again, strict=True):
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_crystal_of_an_unknown_element_is_named(crystals):
    wrong = crystals[:2].replace(atomic_numbers=np.full(crystals[:2].num_atoms.sum(), 103))
    with pytest.raises(InputError, match=f"{crystals.ids[0]}: DiffCSP supports the elements"):
        batches(wrong, "csp")


def test_the_scale_of_cells_is_that_of_matrices_in_any_orientation(crystals):
    turned = crystals.lattices @ scipy.stats.ortho_group.rvs(3, random_state=0)
    assert cell_scale(crystals) == pytest.approx(np.sqrt(np.square(turned).mean()))


class Seer(torch.nn.Module):
    """A network that has seen the crystals before the noise, and what was added to them."""

    def __init__(self, batch: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.batch = batch
        self.seen: tuple = ()

    def forward(self, species, frac_coords, lattices, t, alpha_bar, mask):
        """The right answers, the score by differentiation of the density."""
        self.seen = species, frac_coords, lattices
        step = self.batch["step"]
        sigma = schedule().sigmas[step][:, None, None]
        with torch.enable_grad():
            place = frac_coords.double().requires_grad_()
            density = wrapped_log_density(place - self.batch["frac_coords"], sigma.expand_as(place))
            (score,) = torch.autograd.grad(density.sum(), place)
        score = score / schedule().score_norms[step][:, None, None]
        return score.float(), self.batch["lattice_noise"], self.batch["species_noise"]


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_zero_for_the_derivative_of_the_density_and_the_noise(crystals, task):
    batch = batches(crystals, task)[0]
    matcher = DiffCSPMatcher(replace(TINY, draws_species=task == "dng"), tiny())
    matcher.network = Seer(batch)
    found = matcher(**batch)
    assert float(found["lattice_loss"]) == 0 and float(found["coord_loss"]) < 1e-3
    assert float(found.get("species_loss", 0.0)) == 0
    species, coords, lattices = matcher.network.seen
    alpha_bar = schedule().alpha_bars[batch["step"]].float()[:, None, None]
    expected = (
        alpha_bar.sqrt() * batch["lattices"] + (1 - alpha_bar).sqrt() * batch["lattice_noise"]
    )
    torch.testing.assert_close(lattices, expected)
    assert ((coords >= 0) & (coords < 1)).all()
    if task == "csp":
        assert torch.equal(species, batch["species"])
    else:
        rest = species - (1 - alpha_bar).sqrt() * batch["species_noise"]
        clean = torch.nn.functional.one_hot((batch["species"] - 1).clamp(min=0), NUM_SPECIES)
        torch.testing.assert_close(rest, alpha_bar.sqrt() * clean, atol=1e-4, rtol=0)


@pytest.mark.parametrize("task", TASKS)
def test_a_network_that_predicts_nothing_has_losses_of_one(crystals, task):
    config = replace(TINY, draws_species=task == "dng", preconditioned=False)
    matcher = DiffCSPMatcher(config, tiny())
    data = batches(crystals, task, epochs=10)
    losses = mean_losses(matcher, (data[k] for k in range(len(data))), "cpu")
    weights = {"coord_loss": 1.0, "lattice_loss": 1.0, "species_loss": 20.0}
    for name in weights:
        assert losses.get(name, 1.0) == pytest.approx(1.0, abs=0.05), name
    total = sum(weights[name] * losses[name] for name in losses if name != "loss")
    assert losses["loss"] == pytest.approx(total, rel=1e-4)


# ---- training ------------------------------------------------------------------------------------


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
    assert seen[0] == (6, 8) and seen[-1] == (8, 8)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    logs = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(path / "log.jsonl")]
        for path in (tmp_path / "whole", tmp_path / "stopped")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("task", TASKS)
def test_training_on_64_crystals_beats_untrained_weights(tmp_path, task):
    every = load_shipped("mp_20", "val").crystals
    train = every[(every.num_atoms > 1) & (every.num_atoms <= 4)][:64]
    network = replace(TINY, hidden=48, num_frequencies=6, distance_features=12, cell_frequencies=4)
    settings = tiny(
        network=network, epochs=120, batch_size=32, learning_rate=3e-2, ema_decay=0.9,
        eval_steps=1000, save_steps=1000, log_steps=100,
    )  # fmt: skip
    found = train_task(task, train, train, settings, tmp_path, "cpu")
    untrained, trained = (DiffCSPMatcher(found.config, settings) for _ in range(2))
    trained.network = found
    data = batches(train, task, epochs=4, seed=99)
    scores = [
        mean_losses(one.eval(), (data[k] for k in range(len(data))), "cpu")
        for one in (untrained, trained)
    ]
    for name, value in scores[0].items():
        # at most noise levels the way of an atom, or the species of one, can hardly be known
        assert scores[1][name] < 0.92 * value, (name, scores)


def test_each_task_is_trained_once_and_the_other_can_be_added(prepared, tmp_path):
    prior, out = tmp_path / "prior", tmp_path / "refiner"
    OpenPrior.fit("diffcsp-base", load_dataset(prepared, "train").crystals).save(prior)

    def run(task: str, **change) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        train_refiner(
            TrainingTask(
                "diffcsp", prepared, out, tiny(task=task, epochs=1, **change), device="cpu",
                prior=prior, progress=lambda *step: seen.append(step),
            )
        )  # fmt: skip
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
        run("both", batch_size=8)


def test_after_a_prior_that_gives_all_species_the_other_network_is_not_trained(
    prepared, system_folder, tmp_path
):
    def run(task: str) -> None:
        train_refiner(
            TrainingTask(
                "diffcsp", prepared, tmp_path / "out", tiny(task=task, epochs=1), device="cpu",
                prior=system_folder / "prior",
            )
        )  # fmt: skip

    with pytest.raises(InputError, match="fixes all species"):
        run("dng")
    run("both")
    assert [path.name for path in (tmp_path / "out" / "model").iterdir()] == ["csp"]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"task": "all"}, "unknown task 'all'"), ({"epochs": 0}, "epochs"),
     ({"ema_decay": 1.0}, "ema"), ({"learning_rate": 0.0}, "learning_rate"),
     ({"optimizer": "sgd"}, "neither muon nor adamw"),
     ({"coord_weight": 0.0, "lattice_weight": 0.0}, "must not both be 0")],
)  # fmt: skip
def test_training_settings_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        DiffCSPTrainSettings(**change)


# ---- systems -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diffcsp(prepared, tmp_path_factory) -> FlowLLM:
    """The recipe "diffcsp", trained for one pass."""
    out = tmp_path_factory.mktemp("diffcsp")
    settings = SystemTraining(refiner=tiny(epochs=1, half=True))
    return FlowLLM.from_pretrained(train_system("diffcsp", prepared, out, settings, device="cpu"))


QUICK = DiffCSPSettings(steps=4)


def test_the_system_draws_crystals_and_predicts_structures(diffcsp):
    made = diffcsp.generate(3, seed=1, refinement=QUICK)
    assert (made.prior.atomic_numbers == 0).all() and (made.refined.atomic_numbers > 0).all()
    assert made.trajectory.species_change
    assert diffcsp.generate(3, seed=1, refinement=QUICK).refined.digest() == made.refined.digest()
    salt = diffcsp.generate(2, composition="Na2 Cl2", refinement=QUICK)
    assert salt.refined.compositions == [{"Na": 2, "Cl": 2}] * 2
    assert not salt.trajectory.species_change
    assert [stage.name for stage in made.stages] == ["base distribution", "DiffCSP"]


def test_what_it_cannot_be_asked_for_is_refused_in_a_line(diffcsp):
    with pytest.raises(InputError, match="elements"):
        diffcsp.generate(1, elements="Na,Cl")
    with pytest.raises(InputError, match="space_group"):
        diffcsp.generate(1, space_group=225)


def test_crysllmgen_is_trained_from_data_to_a_system(prepared, tmp_path):
    language_model = LanguageModelSettings(
        sizes=CompactConfig(16, 1, 2, 24),
        training=LMTrainSettings(epochs=1, batch_size=9, validation_rows=3, threads=1),
    )
    settings = SystemTraining(language_model, refiner=tiny(epochs=1))
    out = train_system("crysllmgen", prepared, tmp_path / "out", settings, device="cpu")
    made = FlowLLM.from_pretrained(out)
    assert made.start == 0.5 and list(made.refiner.networks) == ["csp"]
    assert not (tmp_path / "out" / "pairs").exists()


def test_a_language_models_crystals_enter_on_the_way(system, diffcsp):
    joined = FlowLLM(system.prior, diffcsp.refiner, system.num_atoms_histogram, start=0.9)
    made = joined.generate(2, seed=2, refinement=DiffCSPSettings(steps=100, record=True))
    assert made.trajectory.times[0] == 0.9 and len(made.trajectory) == 11
    assert np.array_equal(made.refined.atomic_numbers, made.prior.atomic_numbers)
    assert np.array_equal(made.trajectory.first.lengths, made.prior.lengths)
