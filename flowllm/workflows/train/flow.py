"""The run that trains the flow on pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flowllm.errors import InputError
from flowllm.methods.flow import FlowRefiner, FlowTrainSettings, PairSet, train_flow
from flowllm.methods.flow.train import COMMAND, run_settings
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.folder import RUN, RunFolder
from flowllm.runs.identity import open_run
from flowllm.systems.training import MODEL, TrainingTask
from flowllm.training.device import resolve_device
from flowllm.workflows.train.pairs import PAIRS


def train_refiner(task: TrainingTask) -> None:
    """Train the flow of a system on its pairs; see `train_on_pairs`."""
    if task.pairs is None:
        raise InputError("the flow is trained on pairs, which this system's recipe does not make")
    train_on_pairs(
        task.pairs,
        task.out,
        replace(task.settings, device=task.device),
        overwrite=task.overwrite,
        progress=task.progress,
    )


def train_on_pairs(
    pairs: Path,
    out: Path,
    settings: FlowTrainSettings,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FlowRefiner:
    """Train the flow on a folder of pairs.

    Raises:
        InputError: no pairs there, or the folder holds another run; the loss is not finite.
    """
    if not (pairs / PAIRS).is_file() or (
        (pairs / RUN).is_file() and RunFolder.read(pairs)["status"] != "finished"
    ):
        raise InputError(
            f"{pairs} contains no {PAIRS}; `flowllm pair` writes it when it is finished"
        )
    resolve_device(settings.device)
    content = PairSet.load(pairs / PAIRS)
    if len(content) < 2:
        raise InputError(f"{pairs} holds {len(content)} pairs; training needs at least 2")
    identity = run_settings(settings, content)
    with open_run(out, COMMAND, identity, overwrite, inputs=[pairs]) as run:
        if run.finished and (run.path / MODEL).is_dir():
            return FlowRefiner.from_pretrained(run.path / MODEL, settings.device)
        try:
            with friendly_os_errors(run.path):
                refiner = train_flow(content, settings, run.path, progress, run)
        except FloatingPointError as error:
            raise InputError(str(error)) from None
        run.finish(pairs_trained_on=len(content))
    return refiner
