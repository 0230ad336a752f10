"""The run that trains FlowMM on crystals: one network for each task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flowllm.errors import InputError
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.base.tasks import Task
from flowllm.methods.flowmm.files import save_velocity
from flowllm.methods.flowmm.refiner import FlowMMRefiner
from flowllm.methods.flowmm.settings import FREE, FlowMMTrainSettings
from flowllm.methods.flowmm.train import train_task
from flowllm.runs.files import CONFIG, friendly_os_errors
from flowllm.runs.identity import flat_settings
from flowllm.systems.training import MODEL, TrainingTask
from flowllm.training.device import resolve_device
from flowllm.training.ranks import compute_on, open_shared_run
from flowllm.workflows.train.splits import training_splits

COMMAND = "train-flowmm"


def train_refiner(task: TrainingTask) -> None:
    """Train the networks of FlowMM; see `train_on_crystals`.

    Raises:
        InputError: the recipe's prior is not the base that FlowMM begins with.
    """
    if task.prior is None:
        raise InputError("FlowMM is trained from the base that its prior draws from; it has none")
    base = OpenPrior.load(task.prior).geometry
    if not isinstance(base, SimpleBase):
        raise InputError(f"{task.prior} holds another base than FlowMM's")
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
    progress: Callable[[int, int], None] | None = None,
) -> FlowMMRefiner:
    """Train FlowMM on a data set's training split, or go on where an earlier run stopped.

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
    settings = settings or FlowMMTrainSettings()
    place = str(resolve_device(device))
    compute_on(place)
    train, validation = training_splits(data)
    crystals = train.crystals.digest() + validation.crystals.digest()
    identity = flat_settings(settings, data=str(data), crystals=crystals, base=base.digest())
    for name in FREE:
        identity.pop(name)
    with open_shared_run(out, COMMAND, identity, overwrite, inputs=[data]) as run:
        model = run.path / MODEL
        open_tasks = [task for task in settings.tasks if not _is_there(model, task)]
        for place_in_order, task in enumerate(open_tasks):
            report = _of_one(progress, place_in_order, len(open_tasks))
            try:
                with friendly_os_errors(run.path):
                    velocity = train_task(
                        task, train.crystals, validation.crystals, base, settings,
                        run.path / task, place, report,
                    )  # fmt: skip
                    save_velocity(velocity, model / task, settings.half)
            except FloatingPointError as error:
                raise InputError(f"{task}: {error}") from None
        if open_tasks or not run.finished:
            run.finish(crystals_trained_on=len(train.crystals))
    return FlowMMRefiner.load(model, place)


def _is_there(model: Path, task: Task) -> bool:
    """Whether a network is finished; its configuration is written last."""
    return (model / task / CONFIG).is_file()


def _of_one(
    progress: Callable[[int, int], None] | None, place: int, count: int
) -> Callable[[int, int], None] | None:
    """Progress over all tasks, from that of one."""
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(place * total + done, count * total)
