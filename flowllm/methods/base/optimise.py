"""Training of a network whose data set gives whole batches, resumable to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, TypeVar, cast

import torch
from torch import nn
from torch.utils.data import Dataset

from flowllm.methods.flow.batches import only
from flowllm.training.device import used_threads
from flowllm.training.trainer import CrystalTrainer, training_arguments

N = TypeVar("N", bound=nn.Module)
Batches = Dataset[dict[str, torch.Tensor]]


class Optimisation(Protocol):
    """Settings of the optimisation, independent of what is learnt."""

    @property
    def epochs(self) -> int:
        """Passes over the crystals."""
        ...

    @property
    def learning_rate(self) -> float:
        """Highest rate."""
        ...

    @property
    def warmup_share(self) -> float:
        """Share of the steps in which the rate rises."""
        ...

    @property
    def weight_decay(self) -> float:
        """Decoupled."""
        ...

    @property
    def optimizer(self) -> Literal["muon", "adamw"]:
        """Of the matrices."""
        ...

    @property
    def max_grad_norm(self) -> float:
        """Gradients longer than this are clipped."""
        ...

    @property
    def ema_decay(self) -> float:
        """Of the moving average of the weights."""
        ...

    @property
    def eval_steps(self) -> int:
        """Steps between validations."""
        ...

    @property
    def save_steps(self) -> int:
        """Steps between checkpoints."""
        ...

    @property
    def log_steps(self) -> int:
        """Steps between lines of the log."""
        ...

    @property
    def seed(self) -> int:
        """Random seed."""
        ...

    @property
    def threads(self) -> int:
        """CPU threads; 0 uses all."""
        ...


def optimise(
    matcher: N,
    data: Batches,
    per_epoch: int,
    held_out: Batches,
    settings: Optimisation,
    out: Path,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> N:
    """Train, or resume an earlier run; the rate follows a cosine.

    Under `out`: `checkpoints/` (the last two) and `log.jsonl` (`training.log`).

    Args:
        matcher: a network with its loss, called with the entries of a batch.
        data: one batch a step.
        per_epoch: batches of a pass over the crystals.
        held_out: batches of other crystals, for validation.
        settings: of the training.
        out: folder.
        device: where to train.
        progress: called with (steps done, steps in all).

    Returns:
        The moving average of the weights.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    warmup = round(settings.warmup_share * per_epoch * settings.epochs)
    arguments = training_arguments(
        out,
        device,
        log_steps=settings.log_steps,
        eval_steps=settings.eval_steps,
        save_steps=settings.save_steps,
        per_device_train_batch_size=1,  # an item is a batch
        per_device_eval_batch_size=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, warmup) if settings.warmup_share else 0,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        seed=settings.seed,
    )
    with used_threads(settings.threads):
        trainer = CrystalTrainer(
            matcher,
            arguments,
            out,
            data,
            only,
            per_epoch=per_epoch,
            held_out=held_out,
            optimizer=settings.optimizer,
            ema_decay=settings.ema_decay,
            progress=progress,
        )
        return cast(N, trainer.run())
