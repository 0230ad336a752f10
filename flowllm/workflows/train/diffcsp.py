"""The run that trains DiffCSP on crystals: one network for each task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flowllm.errors import InputError
from flowllm.methods.base.open_species import DIFFCSP, FILE
from flowllm.methods.base.tasks import Task
from flowllm.methods.diffcsp.files import save_network
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.diffcsp.settings import FREE, DiffCSPTrainSettings
from flowllm.methods.diffcsp.train import train_task
from flowllm.runs.files import WEIGHTS, friendly_os_errors
from flowllm.runs.identity import flat_settings
from flowllm.runs.json_object import JsonObject
from flowllm.systems.training import MODEL, TrainingTask
from flowllm.training.device import resolve_device
from flowllm.training.ranks import compute_on, open_shared_run
from flowllm.workflows.train.splits import training_splits

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
            raise InputError(f"the prior in {task.prior} gives all species; task dng draws them")
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
    progress: Callable[[int, int], None] | None = None,
) -> DiffCSPRefiner:
    """Train DiffCSP on a data set's training split, or go on where an earlier run stopped.

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
    settings = settings or DiffCSPTrainSettings()
    place = str(resolve_device(device))
    compute_on(place)
    train, validation = training_splits(data)
    crystals = train.crystals.digest() + validation.crystals.digest()
    identity = flat_settings(settings, data=str(data), crystals=crystals)
    for name in FREE:
        identity.pop(name)
    with open_shared_run(out, COMMAND, identity, overwrite, inputs=[data]) as run:
        model = run.path / MODEL
        open_tasks = [task for task in settings.tasks if not _is_there(model, task)]
        for position, task in enumerate(open_tasks):
            report = _of_one(progress, position, len(open_tasks))
            try:
                with friendly_os_errors(run.path):
                    network = train_task(
                        task, train.crystals, validation.crystals, settings, run.path / task,
                        place, report,
                    )  # fmt: skip
                    save_network(network, model / task, settings.half)
            except FloatingPointError as error:
                raise InputError(f"{task}: {error}") from None
        if open_tasks or not run.finished:
            run.finish(crystals_trained_on=len(train.crystals))
    return DiffCSPRefiner.load(model, place)


def _leaves_open(prior: Path) -> bool:
    """Whether a trained prior is the one that leaves species open."""
    file = prior / FILE
    return file.is_file() and JsonObject.read(file).text("prior", "") == DIFFCSP


def _is_there(model: Path, task: Task) -> bool:
    """Whether a network is finished; its weights are written last."""
    return (model / task / WEIGHTS).is_file()


def _of_one(
    progress: Callable[[int, int], None] | None, place: int, count: int
) -> Callable[[int, int], None] | None:
    """Progress over all tasks, from that of one."""
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(place * total + done, count * total)
