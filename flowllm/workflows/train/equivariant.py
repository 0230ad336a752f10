"""The run that trains the equivariant flow on crystals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.equivariant.pairs import PredictedPairs
from flowllm.methods.equivariant.predicted import predicted_pairs
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantTrainSettings
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.equivariant.train import train_equivariant
from flowllm.methods.templates.build import build_table
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.methods.templates.similarity import shipped_similarity
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.identity import flat_settings
from flowllm.systems.training import MODEL, TrainingTask
from flowllm.training.device import resolve_device
from flowllm.training.ranks import compute_on, open_shared_run
from flowllm.training.settings import FREE
from flowllm.workflows.train.splits import training_splits

COMMAND = "train-equivariant"


def train_refiner(task: TrainingTask) -> None:
    """Train the equivariant flow of a system; see `train_on_crystals`."""
    train_on_crystals(
        task.data, task.out, task.settings, device=task.device, overwrite=task.overwrite,
        progress=task.progress,
    )  # fmt: skip


def train_on_crystals(
    data: str | Path,
    out: Path,
    settings: EquivariantTrainSettings | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EquivariantRefiner:
    """Train the equivariant flow on a data set's training split.

    With a share of pairs in the settings, the pairs are those of the training crystals as templates
    of other formulas; MP-20's take about four minutes on one core.

    Args:
        data: the data set.
        out: folder of the run.
        settings: of the training.
        device: where to train.
        overwrite: replace another run.
        workers: processes that look for the crystals' symmetry; None takes one for each core.
        progress: called with (steps done, steps in all).

    Raises:
        InputError: no such data, or the folder holds another run; the loss is not finite.
    """
    settings = settings or EquivariantTrainSettings()
    place = str(resolve_device(device))
    compute_on(place)
    train, validation = training_splits(data)
    identity = flat_settings(
        settings,
        data=str(data),
        crystals=train.crystals.digest() + validation.crystals.digest(),
    )
    for name in FREE:
        identity.pop(name)
    with open_shared_run(out, COMMAND, identity, overwrite, inputs=[data]) as run:
        if run.finished and (run.path / MODEL).is_dir():
            return EquivariantRefiner.load(run.path / MODEL, place)
        targets = SymmetricTargets.of(train.crystals, workers)
        checked = SymmetricTargets.of(validation.crystals[: settings.validation_rows], workers)
        pairs, checked_pairs = None, None
        if settings.pairs_share:
            pairs, checked_pairs = _pairs(train.crystals, workers, targets, checked)
        try:
            with friendly_os_errors(run.path):
                refiner = train_equivariant(
                    targets, checked, settings, run.path, place, progress,
                    pairs=pairs, held_out_pairs=checked_pairs,
                )  # fmt: skip
        except FloatingPointError as error:
            raise InputError(str(error)) from None
        run.finish(crystals_trained_on=len(targets))
    return refiner


def _pairs(
    crystals: CrystalBatch, workers: int | None, *targets: SymmetricTargets
) -> tuple[PredictedPairs, ...]:
    """The pairs of each of some targets with what templates of these crystals predict."""
    prior = TemplatePrior(build_table(crystals, workers), shipped_similarity())
    return tuple(predicted_pairs(prior, some) for some in targets)
