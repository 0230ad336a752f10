"""The run that trains DiffCSP on crystals: one network for each task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.open_species import DIFFCSP, FILE
from flowllm.methods.diffcsp.files import save_network
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.diffcsp.settings import DiffCSPTrainSettings
from flowllm.methods.diffcsp.train import train_task
from flowllm.runs.json_object import JsonObject
from flowllm.systems.training import TrainingTask
from flowllm.training.device import resolve_device
from flowllm.training.settings import Task
from flowllm.workflows.train.tasks import Progress, train_tasks

COMMAND = "train-diffcsp"


def train_refiner(task: TrainingTask) -> None:
    """Train the networks of DiffCSP; see `train_on_crystals`.

    After a prior that gives every species, as CrysLLMGen's, the network that draws them is left
    out.

    Raises:
        InputError: such a system asks for that network alone.
    """
    settings = task.settings or DiffCSPTrainSettings()
    if task.prior is not None and not _leaves_open(task.prior):
        if settings.task == "dng":
            raise InputError(
                f"the prior in {task.prior} fixes all species; the task dng would draw them"
            )
        settings = replace(settings, task="csp")
    train_on_crystals(
        task.data, task.out, settings, device=task.device, overwrite=task.overwrite,
        progress=task.progress,
    )  # fmt: skip


def train_on_crystals(
    data: str | Path,
    out: Path,
    settings: DiffCSPTrainSettings | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DiffCSPRefiner:
    """Train DiffCSP on a data set's training split, or resume an earlier run.

    Each task has a folder with its checkpoints and log.jsonl; `model/` holds the finished networks.
    The other task can be added later in the same folder.

    Args:
        data: the data set.
        out: folder of the run.
        settings: of the training.
        device: where to train.
        overwrite: replace another run.
        progress: called with (steps done, steps in all).

    Raises:
        InputError: no such data, or the folder holds another run; the loss is not finite.
    """
    chosen = settings or DiffCSPTrainSettings()
    place = str(resolve_device(device))

    def train_one(
        task: Task,
        training: CrystalBatch,
        validation: CrystalBatch,
        work: Path,
        model: Path,
        report: Progress | None,
    ) -> None:
        network = train_task(task, training, validation, chosen, work, place, report)
        save_network(network, model, chosen.half)

    model = train_tasks(
        COMMAND, data, out, chosen, train_one, device=place, overwrite=overwrite,
        progress=progress,
    )  # fmt: skip
    return DiffCSPRefiner.load(model, place)


def _leaves_open(prior: Path) -> bool:
    """Whether a trained prior leaves species open."""
    file = prior / FILE
    return file.is_file() and JsonObject.read(file).text("prior", "") == DIFFCSP
