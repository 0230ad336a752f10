"""The run that trains FlowMM on crystals: one network for each task."""

from __future__ import annotations

from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.flowmm.files import save_velocity
from flowllm.methods.flowmm.refiner import FlowMMRefiner
from flowllm.methods.flowmm.settings import FlowMMTrainSettings
from flowllm.methods.flowmm.train import train_task
from flowllm.systems.training import TrainingTask
from flowllm.training.device import resolve_device
from flowllm.training.settings import Task
from flowllm.workflows.train.tasks import Progress, train_tasks

COMMAND = "train-flowmm"


def train_refiner(task: TrainingTask) -> None:
    """Train the networks of FlowMM; see `train_on_crystals`.

    Raises:
        InputError: the recipe's prior is not the base that FlowMM begins with.
    """
    if task.prior is None:
        raise InputError("FlowMM is trained from the base of its prior; this prior has none")
    base = OpenPrior.load(task.prior).geometry
    if not isinstance(base, SimpleBase):
        raise InputError(f"{task.prior} contains a base other than FlowMM's")
    train_on_crystals(
        task.data, base, task.out, task.settings, device=task.device, overwrite=task.overwrite,
        progress=task.progress,
    )  # fmt: skip


def train_on_crystals(
    data: str | Path,
    base: SimpleBase,
    out: Path,
    settings: FlowMMTrainSettings | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FlowMMRefiner:
    """Train FlowMM on a data set's training split, or resume an earlier run.

    Each task has a folder with its checkpoints and log.jsonl; `model/` holds the finished networks.
    The other task can be added later in the same folder.

    Args:
        data: the data set.
        base: where paths begin, the prior of sampling.
        out: folder of the run.
        settings: of the training.
        device: where to train.
        overwrite: replace another run.
        progress: called with (steps done, steps in all).

    Raises:
        InputError: no such data, or the folder holds another run; the loss is not finite.
    """
    chosen = settings or FlowMMTrainSettings()
    place = str(resolve_device(device))

    def train_one(
        task: Task,
        training: CrystalBatch,
        validation: CrystalBatch,
        work: Path,
        model: Path,
        report: Progress | None,
    ) -> None:
        velocity = train_task(task, training, validation, base, chosen, work, place, report)
        save_velocity(velocity, model, chosen.half)

    model = train_tasks(
        COMMAND, data, out, chosen, train_one, device=place, overwrite=overwrite,
        progress=progress, base=base.digest(),
    )  # fmt: skip
    return FlowMMRefiner.load(model, place)
