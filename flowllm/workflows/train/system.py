"""The run that trains a whole system: the steps of its recipe, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from flowllm.errors import InputError
from flowllm.runs.folder import RUN, RunFolder
from flowllm.runs.progress import Progress
from flowllm.settings import check_workers
from flowllm.systems.recipes import Recipe, recipe
from flowllm.systems.registry import (
    Kind,
    load_class,
    prior_kind,
    refiner_kind,
    training_settings,
)
from flowllm.systems.training import MODEL, Training, TrainingTask
from flowllm.workflows.train.package import package
from flowllm.workflows.train.pairs import make_pairs
from flowllm.workflows.train.settings import PairSettings

Step = Literal["prior", "pairs", "refiner"]


@dataclass(frozen=True)
class SystemTraining:
    """Settings of the steps; None takes the defaults of the system or of the kind.

    Attributes:
        prior: of training the prior.
        pairs: of making pairs.
        refiner: of training the refiner.
    """

    prior: Any = None
    pairs: PairSettings | None = None
    refiner: Any = None


def train_system(
    system: str | Recipe,
    data: str | Path,
    out: Path,
    settings: SystemTraining | None = None,
    *,
    only: Step | None = None,
    half: bool = True,
    device: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path | None:
    """Walk a recipe: the prior, pairs if the refiner learns from them, the refiner, the system.

    Each step is a run in `out`: prior/, pairs/, refiner/; the system is in model/. Finished steps
    are not done again and an interrupted one goes on.

    Args:
        system: a recipe, or its name.
        data: the data set.
        out: folder of all steps.
        settings: of the steps.
        only: do one step alone, those before it being finished; after the last one the system is
            put together.
        half: weights of the system in float16.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that make pairs; None takes one for each core, or one with a GPU.
        overwrite: do the steps again even where their folders hold runs.
        progress: called with (step, done, in all).

    Returns:
        The system's folder; None where it is not finished.

    Raises:
        InputError: no such system or step, a kind that cannot be trained, a step before is
            missing, or a folder holds another run.
    """
    check_workers(workers)
    chosen = recipe(system) if isinstance(system, str) else system
    wanted = settings or SystemTraining()
    if only is not None and only not in chosen.steps:
        raise InputError(f"{_name(system)} has no step {only}; it has {', '.join(chosen.steps)}")
    prior_of = _training(prior_kind(chosen.prior), chosen.prior)
    refiner_of = None
    if chosen.refiner is not None:
        refiner_of = _training(refiner_kind(chosen.refiner), chosen.refiner)
    before = chosen.steps if only is None else chosen.steps[: chosen.steps.index(only)]
    if only is not None:
        for step in before:
            _finished(out / step, step)

    def task(kind: str, step: Step, options: Any) -> TrainingTask:
        return TrainingTask(
            kind, data, out / step, options, None, device, overwrite, _step(progress, step)
        )

    for step in chosen.steps:
        if only not in (None, step):
            continue
        if step == "prior":
            prior_of(task(chosen.prior, "prior", _options(wanted.prior, chosen, "prior")))
        elif step == "pairs":
            make_pairs(
                out / "prior",
                data,
                out / "pairs",
                _options(wanted.pairs, chosen, "pairs"),
                prior_kind=chosen.prior,
                device=device,
                workers=workers,
                overwrite=overwrite,
                progress=_step(progress, "pairs"),
            )
        elif refiner_of is not None and chosen.refiner is not None:
            options = _options(wanted.refiner, chosen, "refiner")
            pairs = out / "pairs" if chosen.trained_on == "pairs" else None
            given = task(chosen.refiner, "refiner", options)
            refiner_of(replace(given, pairs=pairs, prior=out / "prior"))
    if only not in (None, chosen.steps[-1]):
        return None
    package(
        chosen,
        out / "prior",
        None if chosen.refiner is None else out / "refiner",
        data,
        out / MODEL,
        name=system if isinstance(system, str) else "",
        half=half,
        overwrite=overwrite,
    )
    return out / MODEL


def _training(kind: Kind, name: str) -> Training:
    """The training function of a kind."""
    if kind.training is None:
        raise InputError(
            f"{name} cannot be trained: its kind is registered without a training function"
        )
    found: Training = load_class(kind.training)
    return found


def _options(settings: Any, system: Recipe, step: Step) -> Any:
    usual = training_settings(system, step)
    return usual() if settings is None and usual is not None else settings


def _finished(folder: Path, step: str) -> None:
    """Check that an earlier step is finished."""
    done = (folder / RUN).is_file() and RunFolder.read(folder)["status"] == "finished"
    if not done:
        raise InputError(f"{folder} contains no finished {step}; train it first (--only {step})")


def _step(progress: Progress | None, step: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(step, done, total)


def _name(system: str | Recipe) -> str:
    return system if isinstance(system, str) else system.about
