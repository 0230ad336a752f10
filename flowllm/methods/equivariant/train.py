"""Training of the equivariant flow on crystals and noise, resumable to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch

from flowllm.errors import InputError
from flowllm.methods.equivariant.loss import EquivariantMatcher, NoisyBatches, Warming
from flowllm.methods.equivariant.pairs import PredictedPairs
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
    *,
    pairs: PredictedPairs | None = None,
    held_out_pairs: PredictedPairs | None = None,
) -> EquivariantRefiner:
    """Train on noisy copies of crystals, or resume an earlier run.

    Under `out`: `checkpoints/`, `log.jsonl`, and in the end `model/`, the moving average of the
    weights.

    Args:
        targets: crystals to learn from.
        held_out: other crystals, for validation; each with one copy.
        settings: of the training.
        out: folder of the run.
        device: where to train.
        progress: called with (steps done, steps in all).
        pairs: of predictions and the crystals, for the share of copies in the settings.
        held_out_pairs: the same for validation, which counts noise alone without them.

    Raises:
        InputError: a share of pairs is asked for and there are none, or they are of other crystals.
        FloatingPointError: the loss is no longer finite.
    """
    share = settings.pairs_share
    if share and pairs is None:
        raise InputError(f"pairs_share is {share}, but there are no pairs")
    place = resolve_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        matcher = EquivariantMatcher(settings.network, settings.strain_weight, settings.softness)
    warm = Warming(
        settings.warm_share, settings.warm_smallest, settings.warm_softness, settings.softness
    )
    size, seed = settings.batch_size, settings.seed
    data = NoisyBatches(targets, settings.noise, size, settings.epochs, seed, warm, pairs, share)
    checked = NoisyBatches(held_out, settings.noise, size, 1, seed, None, held_out_pairs, share)
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
