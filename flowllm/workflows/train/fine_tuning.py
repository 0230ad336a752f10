"""Fine-tuned models on disk: the run that trains one, and the run that merges its adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flowllm.errors import InputError
from flowllm.runs.identity import digest, flat_settings, open_run
from flowllm.text.formats.registry import make_format
from flowllm.training.device import resolve_device
from flowllm.training.ranks import compute_on, open_shared_run
from flowllm.workflows.train.splits import training_splits

if TYPE_CHECKING:
    from flowllm.methods.language_model.finetune.settings import LargeSettings


def train_large(
    data: str | Path,
    out: Path,
    settings: LargeSettings,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Fine-tune a pretrained model on a data set, in one process or several of `accelerate launch`.

    Returns:
        Validation figures, see `flowllm.methods.language_model.finetune.train.fine_tune`.

    Raises:
        InputError: the model cannot be had or cannot write crystals, no such data, or the folder
            holds another run; the loss is not finite.
    """
    from flowllm.methods.language_model.finetune.train import Base, fine_tune

    place = resolve_device(device).type
    compute_on(place)
    train, validation = training_splits(data)
    chosen = make_format(settings.training.text_format, train.max_atoms)
    base = Base.find(settings.model, settings.load_in, chosen)
    identity = flat_settings(
        settings,
        data=str(data),
        crystals=train.crystals.digest() + validation.crystals.digest(),
        base=base.digest,
        max_atoms=train.max_atoms,
    )
    for name in ("threads", "at_once", "checkpointing"):  # how fast, not what
        identity.pop(name)
    with open_shared_run(out, "train-lm", identity, overwrite, inputs=[data, base.folder]) as run:
        if run.finished:
            return dict(run.record["figures"])
        try:
            figures = fine_tune(
                base, train, validation, run.path, settings, device=place, progress=progress
            )
        except FloatingPointError as error:
            raise InputError(str(error)) from None
        run.finish(figures=figures, training_crystals=len(train))
    return figures


def merge_run(
    adapter: Path, out: Path, *, base: str | None = None, overwrite: bool = False
) -> None:
    """Merge an adapter into its base; a plain model in `out`.

    Raises:
        InputError: see `finetune.load.merge_into`, or the folder holds something else.
    """
    from flowllm.methods.language_model.finetune.base import ADAPTER
    from flowllm.methods.language_model.finetune.load import merge_into

    if not (adapter / ADAPTER).is_file():
        raise InputError(f"{adapter} is not an adapter: it contains no {ADAPTER}")
    identity = {"adapter": digest((adapter / ADAPTER).read_bytes()), "base": base}
    inputs: list[str | Path] = [adapter] if base is None else [adapter, base]
    with open_run(out, "merge-lm", identity, overwrite, inputs=inputs) as run:
        if not run.finished:
            merge_into(adapter, run.path, base=base)
            run.finish()
