"""The runs that train CDVAE: the prior's trains everything, the refiner's takes its part."""

from __future__ import annotations

from pathlib import Path

from flowllm.errors import InputError
from flowllm.methods.cdvae.model import CDVAEModel
from flowllm.methods.cdvae.prior import CDVAEPrior
from flowllm.methods.cdvae.settings import CDVAETrainSettings
from flowllm.methods.cdvae.train import train_cdvae
from flowllm.runs.files import CONFIG, friendly_os_errors
from flowllm.runs.identity import flat_settings, open_run
from flowllm.systems.training import MODEL, TrainingTask
from flowllm.training.device import resolve_device
from flowllm.training.ranks import compute_on, open_shared_run
from flowllm.training.settings import FREE
from flowllm.workflows.train.splits import training_splits

WHOLE = "vae"
"""Folder of all that was trained, in that of the prior."""


def train_prior(task: TrainingTask) -> None:
    """Train encoder, heads and decoder together; the prior is in `out`, the whole in `WHOLE`.

    Raises:
        InputError: no such data, or the folder holds another run; the loss is not finite.
    """
    settings = task.settings or CDVAETrainSettings()
    place = str(resolve_device(task.device))
    compute_on(place)
    train, validation = training_splits(task.data)
    identity = flat_settings(
        settings,
        data=str(task.data),
        crystals=train.crystals.digest() + validation.crystals.digest(),
    )
    for name in FREE:
        identity.pop(name)
    with open_shared_run(
        task.out, "train-cdvae", identity, task.overwrite, inputs=[task.data]
    ) as run:
        if run.finished and (run.path / CONFIG).is_file():
            return
        try:
            with friendly_os_errors(run.path):
                model = train_cdvae(train, validation, settings, run.path, place, task.progress)
                model.save(run.path / WHOLE, settings.half)
                stored = CDVAEModel.load(run.path / WHOLE)  # with the weights as they were rounded
                CDVAEPrior(stored.network.heads, stored.statistics).save(run.path, settings.half)
        except FloatingPointError as error:
            raise InputError(str(error)) from None
        run.finish(crystals_trained_on=len(train))


def take_refiner(task: TrainingTask) -> None:
    """Take encoder and decoder, with the heads that they share, out of the prior's run.

    Raises:
        InputError: there is no prior of CDVAE, or the folder holds another run.
    """
    if task.prior is None:
        raise InputError("CDVAE's decoder is trained with its prior; train the system cdvae")
    model = CDVAEModel.load(Path(task.prior) / WHOLE)
    identity = {"prior": model.digest()}
    with open_run(task.out, "take-cdvae", identity, task.overwrite) as run:
        if not (run.finished and (run.path / MODEL).is_dir()):
            with friendly_os_errors(run.path):
                model.save(run.path / MODEL)
            run.finish()
