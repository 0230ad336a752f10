"""The trainer with a network of its own: a denoiser of cells with a few weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset, default_collate

from flowllm.crystals.batch import CrystalBatch
from flowllm.training.checkpoints import last_checkpoint, seal
from flowllm.training.log import read_log
from flowllm.training.losses import mean_losses
from flowllm.training.trainer import CrystalTrainer, training_arguments

pytestmark = pytest.mark.slow

BATCH, EPOCHS, SIZE = 8, 3, 50
STEPS = 18  # 150 items, 8 a step, and an incomplete last batch


class CellDenoiser(nn.Module):
    """Predicts the noise on lengths (Å / 5) and angles (degrees / 90); draws it itself."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(8, 6)
        self.head = nn.Linear(6, 6)

    def forward(self, cell: torch.Tensor, num_atoms: torch.Tensor) -> dict[str, torch.Tensor]:
        level, noise = torch.rand(len(cell), 1), torch.randn_like(cell)
        seen = torch.cat([cell + level * noise, num_atoms[:, None] / 20, level], dim=1)
        squared = (self.head(torch.tanh(self.hidden(seen))) - noise).square()
        lengths, angles = squared[:, :3].mean(), squared[:, 3:].mean()
        return {"loss": lengths + 2 * angles, "length_loss": lengths, "angle_loss": angles}


class Cells(Dataset):
    """The cells of crystals, in an order of their own in every epoch."""

    def __init__(self, crystals: CrystalBatch, epochs: int, seed: int) -> None:
        self.cells = np.hstack([crystals.lengths / 5, crystals.angles / 90]).astype(np.float32)
        self.num_atoms = crystals.num_atoms
        rng = np.random.default_rng(seed)
        self.order = np.concatenate([rng.permutation(len(crystals)) for _ in range(epochs)])

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = self.order[index]
        return {"cell": torch.from_numpy(self.cells[row]), "num_atoms": self.num_atoms[row]}


def random_crystals(size: int, seed: int) -> CrystalBatch:
    rng = np.random.default_rng(seed)
    num_atoms = rng.integers(1, 9, size)
    atoms = int(num_atoms.sum())
    return CrystalBatch(
        rng.integers(1, 90, atoms),
        rng.random((atoms, 3)),
        rng.uniform(3, 9, (size, 3)),
        rng.uniform(70, 110, (size, 3)),
        num_atoms,
        [str(k) for k in range(size)],
    )


def toy_trainer(out, progress=None, *, optimizer="muon", ema_decay=0.9, model=None, **changes):
    torch.manual_seed(3)
    arguments = training_arguments(
        out, "cpu", log_steps=4, eval_steps=10, save_steps=6, seed=7, learning_rate=1e-1,
        per_device_train_batch_size=BATCH, per_device_eval_batch_size=BATCH, **changes,
    )  # fmt: skip
    return CrystalTrainer(
        model or CellDenoiser(),
        arguments,
        out,
        Cells(random_crystals(SIZE, 0), EPOCHS, seed=1),
        default_collate,
        per_epoch=SIZE / BATCH,
        held_out=Cells(random_crystals(20, 5), 1, seed=1),
        optimizer=optimizer,
        ema_decay=ema_decay,
        progress=progress,
    )


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def timeless(out: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(out)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(trainer, trained network, folder) of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    trainer = toy_trainer(out)
    return trainer, trainer.run(), out


def test_the_loss_falls_and_every_figure_is_logged(whole):
    log = read_log(whole[2] / "log.jsonl")
    training = [line for line in log if "loss" in line]
    scored = [line for line in log if "eval_loss" in line]
    # 2 divides the 6 steps between checkpoints, and 4 does not
    assert [line["step"] for line in training] == [*range(2, STEPS + 1, 2), 19]
    assert [line["step"] for line in scored] == [10, 19]
    everywhere = {"step", "epoch", "seconds"}
    losses = {"loss", "length_loss", "angle_loss"}
    assert set(training[0]) == {*everywhere, *losses, "grad_norm", "learning_rate"}
    assert set(scored[0]) == {*everywhere, *(f"eval_{name}" for name in losses)}
    for line in training:
        assert line["loss"] == pytest.approx(line["length_loss"] + 2 * line["angle_loss"])
    assert training[3]["epoch"] == pytest.approx(8 * BATCH / SIZE)
    assert scored[1]["eval_loss"] < scored[0]["eval_loss"]


def test_the_network_learns(whole):
    trainer, trained, _ = whole
    torch.manual_seed(3)
    untrained, losses = CellDenoiser(), []
    for model in (untrained, trained):
        torch.manual_seed(0)  # of the noise
        loader = torch.utils.data.DataLoader(trainer.train_dataset, 150)
        losses.append(mean_losses(model, loader, "cpu")["loss"])
    assert losses[1] < 0.9 * losses[0]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from pathlib import Path
from test_trainer import toy_trainer

def kill(step, total):
    if step == 15:
        os.kill(os.getpid(), signal.SIGKILL)

toy_trainer(Path(sys.argv[1]), kill).run()
"""


def test_a_killed_run_that_goes_on_equals_an_uninterrupted_one(whole, tmp_path, script_environment):
    out = tmp_path / "killed"
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), here],
        check=False, env={**script_environment, "OMP_NUM_THREADS": "1"}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert last_checkpoint(out / "checkpoints").name == "checkpoint-12"
    # what the kill cut off: a checkpoint without its last file, and a line of the log
    (out / "checkpoints" / "checkpoint-15").mkdir()
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 15, "lo')
    seen = []
    trainer = toy_trainer(out, lambda *step: seen.append(step))
    trained = trainer.run()
    assert seen == [(step, 19) for step in range(13, 20)]
    assert same(trained, whole[1]) and same(trainer.model, whole[0].model)
    assert timeless(out / "log.jsonl") == timeless(whole[2] / "log.jsonl")


FILES = (
    "ema.safetensors", "model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt",
    "trainer_state.json", "files.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Folder of a run that was stopped at step 15, with checkpoints 6 and 12."""
    out = tmp_path_factory.mktemp("stopped") / "run"

    def interrupt(step: int, total: int) -> None:
        if step == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_trainer(out, interrupt).run()
    assert sorted(os.listdir(out / "checkpoints")) == ["checkpoint-12", "checkpoint-6"]
    return out


@pytest.mark.parametrize("harm", ["missing", "cut", "zeros", "empty", "one byte"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_none(stopped, tmp_path, name, harm):
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(stopped / "checkpoints", checkpoints)
    assert last_checkpoint(checkpoints).name == "checkpoint-12"
    file = checkpoints / "checkpoint-12" / name
    damage(file, harm)
    assert last_checkpoint(checkpoints) == checkpoints / "checkpoint-6"
    assert os.listdir(checkpoints) == ["checkpoint-6"]
    damage(checkpoints / "checkpoint-6" / name, harm)
    assert last_checkpoint(checkpoints) is None


def damage(file: Path, harm: str) -> None:
    """What can happen to a file: it vanishes, a power failure, a disk that fails."""
    content = file.read_bytes()
    if harm == "missing":
        file.unlink()
    elif harm == "one byte":
        file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    else:
        torn = {"cut": content[: len(content) // 2], "zeros": bytes(len(content)), "empty": b""}
        file.write_bytes(torn[harm])


def test_a_run_goes_on_from_the_older_checkpoint_to_the_same_end(whole, stopped, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    damage(out / "checkpoints" / "checkpoint-12" / "optimizer.pt", "missing")
    seen = []
    trained = toy_trainer(out, lambda *step: seen.append(step)).run()
    assert seen[0] == (7, 19)
    assert same(trained, whole[1])
    assert timeless(out / "log.jsonl") == timeless(whole[2] / "log.jsonl")
    steps = [(line["step"], "loss" in line) for line in read_log(out / "log.jsonl")]
    assert len(steps) == len(set(steps))  # none stands twice


def test_a_checkpoint_whose_best_is_damaged_is_none(stopped, tmp_path):
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(stopped / "checkpoints", checkpoints)
    state = checkpoints / "checkpoint-12" / "trainer_state.json"
    content = {**json.loads(state.read_text()), "best_model_checkpoint": "a/checkpoint-6"}
    state.write_text(json.dumps(content))
    (checkpoints / "checkpoint-12" / "files.json").unlink()
    seal(checkpoints / "checkpoint-12")
    assert last_checkpoint(checkpoints).name == "checkpoint-12"
    damage(checkpoints / "checkpoint-6" / "model.safetensors", "cut")
    assert last_checkpoint(checkpoints) is None


def test_without_an_average_too(tmp_path):
    def interrupt(step: int, total: int) -> None:
        if step == 8:
            raise KeyboardInterrupt

    options = {"optimizer": "adamw", "ema_decay": None}
    with pytest.raises(KeyboardInterrupt):
        toy_trainer(tmp_path / "cut", interrupt, **options).run()
    resumed = toy_trainer(tmp_path / "cut", **options).run()
    trainer = toy_trainer(tmp_path / "whole", **options)
    assert same(resumed, trainer.run())
    files = {path.name for path in (tmp_path / "cut/checkpoints/checkpoint-19").iterdir()}
    assert "ema.safetensors" not in files and "training_args.bin" not in files


def test_a_finished_run_started_again_changes_nothing(tmp_path):
    first = toy_trainer(tmp_path).run()
    before = (tmp_path / "log.jsonl").read_bytes()
    seen = []
    again = toy_trainer(tmp_path, lambda *step: seen.append(step))
    assert same(again.run(), first)
    assert seen == [] and (tmp_path / "log.jsonl").read_bytes() == before


def test_the_average_is_what_is_trained_and_validated(whole):
    trainer, trained, out = whole
    newest = out / "checkpoints" / "checkpoint-19"
    average, weights = (load_file(newest / f"{n}.safetensors") for n in ("ema", "model"))
    assert all(torch.equal(average[name], value) for name, value in trained.state_dict().items())
    assert not torch.equal(average["head.weight"], weights["head.weight"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        average_loss = trainer.evaluate()["eval_loss"]
        torch.manual_seed(0)
        trainer.model.eval()
        loader = torch.utils.data.DataLoader(trainer.eval_dataset, BATCH)
        own_loss = mean_losses(trainer.model, loader, "cpu")["loss"]
    assert average_loss != own_loss


def test_the_order_of_the_data_is_the_order_of_the_steps(tmp_path):
    seen = []

    class Watching(CellDenoiser):
        def forward(self, cell, num_atoms):
            if self.training:
                seen.append(cell)
            return super().forward(cell, num_atoms)

    trainer = toy_trainer(tmp_path, model=Watching())
    trainer.run()
    data = trainer.train_dataset
    expected = torch.from_numpy(data.cells[data.order])
    assert torch.equal(torch.cat(seen), expected)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    class Broken(CellDenoiser):
        def forward(self, cell, num_atoms):
            return {name: v * float("nan") for name, v in super().forward(cell, num_atoms).items()}

    with pytest.raises(FloatingPointError, match=r"step 2; lower learning_rate"):
        toy_trainer(tmp_path, model=Broken()).run()
    assert read_log(tmp_path / "log.jsonl") == []
    assert not list((tmp_path / "checkpoints").glob("checkpoint-*"))


def test_mean_losses_weigh_rows_and_not_batches():
    class Mean(nn.Module):
        def forward(self, values):
            return {"loss": values.mean(), "half_loss": values.mean() / 2, "values": values}

    batches = [{"values": torch.tensor([1.0, 2.0, 3.0])}, {"values": torch.tensor([10.0])}]
    assert mean_losses(Mean(), batches, "cpu") == {"loss": 4.0, "half_loss": 2.0}


def test_nothing_is_validated_where_nothing_is_held_out(tmp_path):
    arguments = training_arguments(tmp_path, "cpu", log_steps=5, eval_steps=None, save_steps=5)
    assert arguments.eval_strategy == "no" and arguments.logging_steps == 5
    data = Cells(random_crystals(10, 0), 1, seed=1)
    CrystalTrainer(CellDenoiser(), arguments, tmp_path, data, default_collate, per_epoch=1.25).run()
    assert [set(line) & {"loss", "eval_loss"} for line in read_log(tmp_path / "log.jsonl")] == [
        {"loss"}
    ]
    assert os.listdir(tmp_path / "checkpoints") == ["checkpoint-2"]
