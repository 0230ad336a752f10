"""The run that makes a base distribution: its language model, if it has one, and its geometry."""

from __future__ import annotations

from flowllm.data import load_dataset
from flowllm.methods.base import BasePrior
from flowllm.methods.base.open_species import FILE, OpenPrior
from flowllm.methods.base.prior import BASE, LM
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.identity import open_run
from flowllm.systems.training import TrainingTask
from flowllm.workflows.train.language_model import train_language_model


def train_base(task: TrainingTask) -> None:
    """Train the language model that writes the species, and fit the geometry to the crystals.

    Raises:
        InputError: no such data, or the folder holds another run.
    """
    training = load_dataset(task.data, "train").crystals
    identity = {"prior": task.kind, "data": str(task.data), "crystals": training.digest()}
    with open_run(task.out, "train-base", identity, task.overwrite, inputs=[task.data]) as run:
        if task.settings is not None:
            train_language_model(
                task.data,
                run.path / LM,
                task.settings,
                device=task.device,
                progress=task.progress,
            )
        if not (run.finished and (run.path / BASE).is_file()):
            language_model = None
            if task.settings is not None:
                language_model = LanguageModelPrior.from_pretrained(run.path / LM)
            with friendly_os_errors(run.path):
                BasePrior.make(task.kind, language_model, training).save_geometry(run.path)
            run.finish()


def fit_open(task: TrainingTask) -> None:
    """Fit a base distribution whose species are open; nothing is learnt but the cells' lengths.

    Raises:
        InputError: no such data, or the folder holds another run.
    """
    training = load_dataset(task.data, "train").crystals
    identity = {"prior": task.kind, "data": str(task.data), "crystals": training.digest()}
    with open_run(task.out, "fit-base", identity, task.overwrite, inputs=[task.data]) as run:
        if not (run.finished and (run.path / FILE).is_file()):
            with friendly_os_errors(run.path):
                OpenPrior.fit(task.kind, training).save(run.path)
            run.finish()
