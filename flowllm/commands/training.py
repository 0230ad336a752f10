"""The commands that train: the language model, the pairs and the flow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from flowllm.commands.flatten import FromPart
from flowllm.commands.options import Device, Input
from flowllm.runs.terminal import say
from flowllm.systems.recipes import help_text

if TYPE_CHECKING:
    from flowllm.methods.flow.settings import FlowTrainSettings
    from flowllm.workflows.train.settings import LanguageModelSettings, PairSettings


def train(
    system: Annotated[str, tyro.conf.arg(help=help_text())],
    data: str = "mp_20",
    /,
    *,
    out: Path,
    prior: Annotated[Any, FromPart("prior training", "prior_")],
    pairs: Annotated[Any, FromPart("pairs", "pairs_")],
    refiner: Annotated[Any, FromPart("refiner training", "refiner_")],
    only: Literal["prior", "pairs", "refiner"] | None = None,
    half: bool = True,
    workers: int | None = None,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Train a whole system: its prior, pairs for its refiner to learn from, and the refiner.

    Each step is a run in a folder of its own: prior, pairs and refiner; the system for "generate
    --model" is in the folder model. An interrupted command resumes where it stopped. The options
    depend on the system: see "flowllm train SYSTEM --help".

    Args:
        data: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF files.
        out: folder for all steps.
        only: run this step alone; those before it must be finished. The last step ends with the
            system.
        half: save the system's weights in float16; this halves their size.
        workers: processes that make pairs; by default one per core, or one with a GPU.
        overwrite: redo steps even if their folders hold other runs; with --only that one.
    """
    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.train.system import SystemTraining, train_system

    with progress_bars() as progress:
        made = train_system(
            system,
            data,
            out,
            SystemTraining(prior, pairs, refiner),
            only=only,
            half=half,
            device=device,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    say(
        f"{out / (only or '')} is finished"
        if made is None
        else f"flowllm generate --model {made} --out runs/mine"
    )


def train_lm(
    out: Path,
    settings: LanguageModelSettings,
    data: str = "mp_20",
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Train a language model on crystals as text: the compact one, or another with --model.

    An interrupted run is resumed. Started with "accelerate launch -m flowllm train-lm", several
    processes share each batch.

    Args:
        out: folder for the model or adapter; its checkpoints and log.jsonl too.
        data: data set: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF
            files.
    """
    from flowllm.runs.progress import progress_bars
    from flowllm.training.ranks import is_main
    from flowllm.workflows.train.language_model import train_language_model

    with progress_bars(is_main()) as progress:
        figures = train_language_model(
            data,
            out,
            settings,
            device=device,
            overwrite=overwrite,
            progress=lambda done, total: progress("steps", done, total),
        )
    if is_main():
        say(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))


def merge_lm(
    adapter: Input, /, out: Path, base: str | None = None, overwrite: bool = False
) -> None:
    """Merge an adapter into its base to obtain a plain model.

    Args:
        adapter: folder that "flowllm train-lm --lora" wrote.
        out: folder for the model.
        base: location of the base model; by default the one that the adapter names.
    """
    from flowllm.runs.progress import waiting
    from flowllm.workflows.train.fine_tuning import merge_run

    with waiting("merging"):
        merge_run(adapter, out, base=base, overwrite=overwrite)
    say(f"the model is in {out}")


def pair(
    lm: Path,
    out: Path,
    settings: PairSettings,
    data: str = "mp_20",
    prior: str = "language-model",
    workers: int | None = None,
    dask: str | None = None,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Pair training crystals with samples of the prior, for the flow to learn from.

    Args:
        lm: folder that "flowllm train-lm" wrote.
        out: folder for the pairs.
        data: data set: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF
            files.
        prior: kind of prior: "language-model", its crystals; "types", its species with random
            positions and cells; "substitution", its species in the nearest training crystal;
            "compositions", species of training crystals with random positions.
        workers: processes with one thread each; by default one per core, or one with a GPU. The
            pairs are the same however many there are.
        dask: address of a Dask scheduler; its workers sample, and must find the folder of the
            language model at the same path. It looks like tcp://10.0.0.1:8786.
    """
    from flowllm.parallel.dask import dask_executor
    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.train import make_pairs

    with dask_executor(dask) as executor, progress_bars() as progress:
        summary = make_pairs(
            lm,
            data,
            out,
            settings,
            prior_kind=prior,
            device=device,
            workers=workers,
            executor=executor,
            overwrite=overwrite,
            progress=lambda done, total: progress("pairs", done, total),
        )
    speed = summary.pop("speed", {})
    for name, value in {**summary, **speed}.items():
        say(f"{name}: {value}")


def train_flow(
    pairs: Path,
    out: Path,
    settings: FlowTrainSettings,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Train the Riemannian flow on pairs; an interrupted run is resumed.

    Args:
        pairs: folder that "flowllm pair" wrote.
        out: folder for the model; its checkpoints and log.jsonl too.
    """
    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.train import train_on_pairs

    with progress_bars() as progress:
        train_on_pairs(
            pairs,
            out,
            replace(settings, device=device),
            overwrite=overwrite,
            progress=lambda done, total: progress("steps", done, total),
        )
    say(f"the flow is in {out / 'model'}")
