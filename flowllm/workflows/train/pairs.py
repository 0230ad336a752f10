"""The run that samples the prior for training crystals, and pairs them with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.flow.couplings.chunk import PairPlan
from flowllm.methods.flow.couplings.files import join_pairs, write_perturbed
from flowllm.methods.flow.couplings.sample import chunk_files, sample_pairs
from flowllm.parallel.map import available_cores
from flowllm.runs.files import atomic_write, friendly_os_errors
from flowllm.runs.identity import flat_settings, open_run
from flowllm.settings import check_workers
from flowllm.training.device import resolve_device
from flowllm.workflows.train.settings import PairSettings
from flowllm.workflows.train.source import LANGUAGE_MODEL, PriorSource, load_prior

PAIRS = "pairs.npz"


def plan_of(settings: PairSettings) -> PairPlan:
    """The plan of pairs, for code independent of the settings classes."""
    assert settings.num_pairs is not None
    return PairPlan(
        settings.num_pairs,
        settings.seed,
        settings.chunk_size,
        settings.samples_per_target,
        settings.keep,
        settings.alignment,
    )


def make_pairs(
    lm: str | Path,
    data: str | Path,
    out: Path,
    settings: PairSettings | None = None,
    *,
    prior_kind: str = LANGUAGE_MODEL,
    device: str = "auto",
    workers: int | None = 1,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Sample the prior for training crystals' compositions and align; `pairs.npz`.

    The pairs are the same to the bit whatever the number of workers.

    Args:
        lm: folder of the prior, or of the language model that it is made of.
        data: the data set, whose training split gives the targets.
        out: folder of the run.
        settings: which pairs.
        prior_kind: a kind of prior.
        device: where the model computes.
        workers: spawned processes, each with one thread and a model of its own; None takes one
            for each core, or one with a GPU.
        executor: any `concurrent.futures` executor instead; on other machines `lm`, and `data`
            where the prior needs it, must lie at the same place.
        overwrite: replace another run.
        progress: called with (draws done, draws in all).

    Returns:
        Counts, the mean squared torus distance in list order and aligned, and the speed.

    Raises:
        InputError: no such model or data, or the folder holds another run.
    """
    settings = settings or PairSettings()
    check_workers(workers)
    place = resolve_device(device)
    if workers is None:
        workers = available_cores() if place.type == "cpu" else 1
    prior = load_prior(prior_kind, lm, data, device)
    targets = load_dataset(data, "train", workers=workers).crystals
    settings = settings.counted(len(targets))
    plan = plan_of(settings)
    identity = flat_settings(
        settings,
        lm=prior.digest(),
        data=str(data),
        targets=targets.digest(),
    )
    alone = executor is None and workers == 1
    with open_run(out, "pair", identity, overwrite, inputs=[lm, data]) as run:
        if run.finished and (run.path / PAIRS).is_file():
            return dict(run.record["summary"])
        with friendly_os_errors(run.path):
            summary = sample_pairs(
                targets,
                prior if alone else PriorSource.of(prior, prior_kind, lm, data, device),
                settings.sampling,
                run.path / "chunks",
                plan,
                progress,
                processes=workers,
                executor=executor,
                run=run,
            )
            if not summary["pairs"]:
                raise InputError(f"{lm} produced no crystal of a requested composition: no pairs")
            files = chunk_files(run.path / "chunks", plan)
            noisy = write_perturbed(
                targets, settings.perturbed or 0, settings.seed, files[0].parent
            )
            atomic_write(run.path / PAIRS, lambda handle: join_pairs([*files, *noisy], handle))
            for file in noisy:
                file.unlink()
        run.finish(summary=summary)
    return summary
