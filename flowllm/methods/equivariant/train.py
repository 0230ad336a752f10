"""Training of the equivariant flow on crystals and noise, resumable to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch

from flowllm.methods.equivariant.loss import EquivariantMatcher, NoisyBatches, Warming
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantTrainSettings
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.flow.batches import only
from flowllm.training.device import resolve_device, used_threads
from flowllm.training.trainer import CrystalTrainer, training_arguments


def train_equivariant(
    targets: SymmetricTargets,
    held_out: SymmetricTargets,
    settings: EquivariantTrainSettings,
    out: Path,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> EquivariantRefiner:
    """Train on noisy copies of crystals, or go on where an earlier run stopped.

    Under `out`: `checkpoints/`, `log.jsonl`, and in the end `model/`, the moving average of the
    weights.

    Args:
        targets: crystals to learn from.
        held_out: other crystals, for validation; each with one copy.
        settings: of the training.
        out: folder of the run.
        device: where to train.
        progress: called with (steps done, steps in all).

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    place = resolve_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        matcher = EquivariantMatcher(settings.network, settings.strain_weight, settings.softness)
    warm = Warming(
        settings.warm_share, settings.warm_smallest, settings.warm_softness, settings.softness
    )
    data = NoisyBatches(
        targets, settings.noise, settings.batch_size, settings.epochs, settings.seed, warm
    )
    checked = NoisyBatches(held_out, settings.noise, settings.batch_size, 1, settings.seed)
    steps = len(data)
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
        warmup_steps=max(1, round(settings.warmup_share * steps)),
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
            per_epoch=data.per_epoch,
            held_out=checked,
            optimizer=settings.optimizer,
            ema_decay=settings.ema_decay,
            progress=progress,
        )
        average = cast(EquivariantMatcher, trainer.run())
    refiner = EquivariantRefiner(average.network, device=str(place))
    refiner.save(out / "model", settings.half)
    return refiner
