"""The run that makes a base distribution: its language model, if it has one, and its geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.base import BasePrior
from flowllm.methods.base.open_species import FILE, OpenPrior
from flowllm.methods.base.prior import BASE, LM
from flowllm.methods.language_model.prior import LanguageModelPrior, load_as_stored
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.identity import open_run
from flowllm.systems.parts import PartRecord, shipped_part
from flowllm.systems.record import SystemRecord, find_model
from flowllm.systems.training import TrainingTask
from flowllm.workflows.train.language_model import train_language_model
from flowllm.workflows.train.settings import SpeciesSettings


def train_base(task: TrainingTask) -> None:
    """Train the language model that writes the species, and fit the geometry to the crystals.

    With `language_model_of` in the settings the language model of that system is taken.

    Raises:
        InputError: no such data or system, or the folder holds another run.
    """
    training = load_dataset(task.data, "train").crystals
    identity = {"prior": task.kind, "data": str(task.data), "crystals": training.digest()}
    place, shipped = _taken(task.settings)
    language_model = None if place is None else load_as_stored(place)
    if language_model is not None:
        identity["language_model"] = language_model.digest()
    with open_run(task.out, "train-base", identity, task.overwrite, inputs=[task.data]) as run:
        if task.settings is not None and language_model is None:
            train_language_model(
                task.data,
                run.path / LM,
                task.settings,
                device=task.device,
                progress=task.progress,
            )
        if not (run.finished and (run.path / BASE).is_file()):
            with friendly_os_errors(run.path):
                if language_model is not None and shipped is None:
                    language_model.save(run.path / LM)
                elif language_model is None and task.settings is not None:
                    language_model = LanguageModelPrior.from_pretrained(run.path / LM)
                made = BasePrior.make(task.kind, language_model, training, shipped)
                made.save_geometry(run.path)
            run.finish()


def _taken(settings: Any) -> tuple[Path | None, PartRecord | None]:
    """The folder of another system's language model, and its reference if that one ships.

    Raises:
        InputError: there is no such system, or its prior is not a language model.
    """
    name = settings.language_model_of if isinstance(settings, SpeciesSettings) else None
    if name is None:
        return None, None
    folder = find_model(name)
    part = SystemRecord.read(folder).parts["prior"]
    if part.kind != LanguageModelPrior.kind:
        raise InputError(f"the prior of {name} is of kind {part.kind}, not a language model")
    place = part.place(folder)
    return place, shipped_part(part.kind, place)


def fit_open(task: TrainingTask) -> None:
    """Fit a base distribution with open species; only the cell lengths are fitted.

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
