"""The run that trains the compact language model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from flowllm.errors import InputError
from flowllm.methods.language_model.compact import build_compact
from flowllm.methods.language_model.settings import CompactConfig, LMTrainSettings
from flowllm.methods.language_model.train import train_lm
from flowllm.runs.identity import flat_settings
from flowllm.systems.training import TrainingTask
from flowllm.text.formats.registry import make_format
from flowllm.text.tokenizer import build_tokenizer, longest_text
from flowllm.training.device import resolve_device
from flowllm.training.ranks import compute_on, open_shared_run
from flowllm.workflows.train.fine_tuning import train_large
from flowllm.workflows.train.settings import LanguageModelSettings
from flowllm.workflows.train.splits import training_splits


def train_prior(task: TrainingTask) -> None:
    """Train the language model of a system; see `train_language_model`."""
    train_language_model(
        task.data,
        task.out,
        task.settings,
        device=task.device,
        overwrite=task.overwrite,
        progress=task.progress,
    )


def train_language_model(
    data: str | Path,
    out: Path,
    settings: LanguageModelSettings,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Train a compact language model from scratch, or fine-tune a pretrained one.

    Returns:
        Validation figures, as `train_compact` or `fine_tuning.train_large` gives them.

    Raises:
        InputError: no such data or model, or the folder holds another run.
    """
    large = settings.fine_tuning
    if large is not None:
        return train_large(data, out, large, device=device, overwrite=overwrite, progress=progress)
    return train_compact(
        data, out, settings.sizes, settings.training, device=device, overwrite=overwrite,
        progress=progress,
    )  # fmt: skip


def train_compact(
    data: str | Path,
    out: Path,
    config: CompactConfig,
    settings: LMTrainSettings,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Train a compact language model from scratch on a data set.

    Returns:
        Validation figures: nats per token and per crystal, perplexity.

    Raises:
        InputError: no such data, or the folder holds another run; the loss is not finite.
    """
    place = str(resolve_device(device))
    compute_on(place)
    train, validation = training_splits(data)
    chosen = make_format(settings.text_format, train.max_atoms)
    config = replace(config, context=max(config.context, longest_text(chosen)))
    identity = flat_settings(
        settings,
        data=str(data),
        crystals=train.crystals.digest() + validation.crystals.digest(),
        max_atoms=train.max_atoms,
        **asdict(config),
    )
    identity.pop("threads")  # how fast, not what
    with open_shared_run(out, "train-lm", identity, overwrite, inputs=[data]) as run:
        if run.finished:
            return dict(run.record["figures"])
        tokenizer = build_tokenizer(chosen)
        model = build_compact(tokenizer, config, settings.seed)
        try:
            figures = train_lm(
                model,
                tokenizer,
                train,
                validation,
                run.path,
                settings,
                text_format=chosen,
                device=place,
                progress=progress,
            )
        except FloatingPointError as error:
            raise InputError(str(error)) from None
        run.finish(figures=figures, training_crystals=len(train))
    return figures
