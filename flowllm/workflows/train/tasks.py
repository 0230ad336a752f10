"""Runs that train one network for each task, structure prediction and generation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.runs.files import WEIGHTS, friendly_os_errors
from flowllm.runs.identity import flat_settings
from flowllm.systems.training import MODEL
from flowllm.training.ranks import compute_on, open_shared_run
from flowllm.training.settings import FREE, Task, TaskTrainSettings
from flowllm.workflows.train.splits import training_splits

Progress = Callable[[int, int], None]
TrainTask = Callable[[Task, CrystalBatch, CrystalBatch, Path, Path, Progress | None], None]
"""Trains the network of a task on crystals, with others for validation, and goes on in the first
folder; the finished network is written into the second."""


def train_tasks(
    command: str,
    data: str | Path,
    out: Path,
    settings: TaskTrainSettings,
    train_one: TrainTask,
    *,
    device: str,
    overwrite: bool = False,
    progress: Progress | None = None,
    **identity: Any,
) -> Path:
    """Train the networks of all unfinished tasks, or resume an earlier run.

    Each task has a folder with its checkpoints and log.jsonl; `model/` holds the finished networks.
    The other task can be added later in the same folder.

    Args:
        command: name of the run.
        data: the data set.
        out: folder of the run.
        settings: of the training.
        train_one: trains one of them.
        device: where to train, resolved.
        overwrite: replace another run.
        progress: called with (steps done, steps in all).
        identity: what else the result depends on.

    Returns:
        The folder of the networks.

    Raises:
        InputError: no such data, or the folder holds another run; the loss is not finite.
    """
    compute_on(device)
    train, validation = training_splits(data)
    crystals = train.crystals.digest() + validation.crystals.digest()
    described = flat_settings(settings, data=str(data), crystals=crystals, **identity)
    for name in (*FREE, "task"):
        described.pop(name)
    with open_shared_run(out, command, described, overwrite, inputs=[data]) as run:
        model = run.path / MODEL
        missing = [task for task in settings.tasks if not _is_there(model, task)]
        for position, task in enumerate(missing):
            report = _of_one(progress, position, len(missing))
            try:
                with friendly_os_errors(run.path):
                    train_one(
                        task, train.crystals, validation.crystals, run.path / task, model / task,
                        report,
                    )  # fmt: skip
            except FloatingPointError as error:
                raise InputError(f"{task}: {error}") from None
        if missing or not run.finished:
            run.finish(crystals_trained_on=len(train.crystals))
    return model


def _is_there(model: Path, task: Task) -> bool:
    """Whether a network is finished; its weights are written last."""
    return (model / task / WEIGHTS).is_file()


def _of_one(progress: Progress | None, place: int, count: int) -> Progress | None:
    """Progress over all tasks, from that of one."""
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(place * total + done, count * total)
