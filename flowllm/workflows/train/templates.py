"""The runs that make templates of training crystals, alone or beside a language model."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

from flowllm.data import load_dataset
from flowllm.methods.templates.build import build_table
from flowllm.methods.templates.prior import TABLE, TemplatePrior
from flowllm.methods.templates.ranked import LM, TEMPLATES
from flowllm.methods.templates.similarity import shipped_similarity
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import open_run
from flowllm.systems.training import TrainingTask
from flowllm.workflows.train.language_model import train_language_model
from flowllm.workflows.train.settings import LanguageModelSettings

TEXT_FORMAT = "wyckoff"


def train_templates(task: TrainingTask) -> None:
    """Find the symmetry of the training crystals and keep them as templates.

    The similarity of elements is the one that ships, fitted to MP-20's training split.

    Raises:
        InputError: no such data, or the folder holds another run.
    """
    with _run(task, "train-templates") as run:
        if not (run.finished and (run.path / TABLE).is_file()):
            _templates(task).save(run.path)
            run.finish()


def train_ranked(task: TrainingTask) -> None:
    """Train the language model, in symmetric texts whatever the settings say, and make templates.

    Raises:
        InputError: no such data, or the folder holds another run.
    """
    settings: LanguageModelSettings = task.settings
    training = replace(settings.training, text_format=TEXT_FORMAT)
    with _run(task, "train-ranked") as run:
        train_language_model(
            task.data,
            run.path / LM,
            replace(settings, training=training),
            device=task.device,
            progress=task.progress,
        )
        if not (run.finished and (run.path / TEMPLATES / TABLE).is_file()):
            with friendly_os_errors(run.path):
                _templates(task).save(run.path / TEMPLATES)
            run.finish()


def _templates(task: TrainingTask) -> TemplatePrior:
    training = load_dataset(task.data, "train").crystals
    return TemplatePrior(build_table(training), shipped_similarity())


def _run(task: TrainingTask, command: str) -> AbstractContextManager[RunFolder]:
    training = load_dataset(task.data, "train").crystals
    identity = {"prior": task.kind, "data": str(task.data), "crystals": training.digest()}
    return open_run(task.out, command, identity, task.overwrite, inputs=[task.data])
