"""Training of FlowMM's networks on crystals, each resumable to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.base.tasks import DNG, Task
from flowllm.methods.flow.batches import only
from flowllm.methods.flowmm.batches import BaseBatches, HeldOutCrystals, base_statistics
from flowllm.methods.flowmm.loss import FlowMMMatcher
from flowllm.methods.flowmm.settings import FlowMMTrainSettings
from flowllm.methods.flowmm.velocity import OpenCrystalVelocity
from flowllm.training.device import resolve_device, used_threads
from flowllm.training.trainer import CrystalTrainer, training_arguments


def train_task(
    task: Task,
    training: CrystalBatch,
    held_out: CrystalBatch,
    base: SimpleBase,
    settings: FlowMMTrainSettings,
    out: Path,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> OpenCrystalVelocity:
    """Train the network of one task, or go on where an earlier run stopped.

    Under `out`: `checkpoints/` (the last two) and `log.jsonl` (`training.log`; a part of the loss
    of 1 is the variance of its target).

    Args:
        task: structure prediction or generation.
        training: crystals to learn from.
        held_out: other crystals, for validation.
        base: where paths begin; the prior of sampling.
        settings: of the training.
        out: folder of this task.
        device: where to train.
        progress: called with (steps done, steps in all).

    Returns:
        The moving average of the weights.

    Raises:
        InputError: a crystal has a species that FlowMM does not know.
        FloatingPointError: the loss is no longer finite.
    """
    place, seed = resolve_device(device), settings.seed
    config = replace(settings.network, draws_species=task == DNG)
    statistics = base_statistics(training, base, config.cell_map)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        matcher = FlowMMMatcher(config, statistics, settings)
    data = BaseBatches(
        training, base, config.cell_map, config.draws_species, settings.batch_size,
        settings.epochs, seed,
    )  # fmt: skip
    warmup = round(settings.warmup_share * len(data))
    arguments = training_arguments(
        out,
        place,
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
        seed=seed,
    )
    with used_threads(settings.threads):
        trainer = CrystalTrainer(
            matcher,
            arguments,
            out,
            data,
            only,
            per_epoch=data.per_epoch,
            held_out=HeldOutCrystals(held_out[: settings.validation_rows], data),
            optimizer=settings.optimizer,
            ema_decay=settings.ema_decay,
            progress=progress,
        )
        average = cast(FlowMMMatcher, trainer.run())
    return average.velocity
