"""Training of CDVAE, resumable to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from flowllm.data.dataset import CrystalSet
from flowllm.methods.cdvae.batches import CrystalsInBatches
from flowllm.methods.cdvae.loss import CDVAELoss
from flowllm.methods.cdvae.model import CDVAEModel
from flowllm.methods.cdvae.settings import CDVAETrainSettings
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.methods.flow.batches import only
from flowllm.networks.cdvae.network import CDVAE
from flowllm.training.device import resolve_device, used_threads
from flowllm.training.trainer import CrystalTrainer, training_arguments


def train_cdvae(
    data: CrystalSet,
    held_out: CrystalSet,
    settings: CDVAETrainSettings,
    out: Path,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> CDVAEModel:
    """Train all parts together, or resume an earlier run.

    Under `out`: `checkpoints/` and `log.jsonl`.

    Args:
        data: crystals to learn from, with formation energies where they are known.
        held_out: other crystals, for validation, each with one draw of noise.
        settings: of the training.
        out: folder of the run.
        device: where to train.
        progress: called with (steps done, steps in all).

    Returns:
        The moving average of the weights.

    Raises:
        InputError: there are no crystals, or one has an element that CDVAE has no place for.
        FloatingPointError: the loss is no longer finite.
    """
    place = resolve_device(device)
    config = replace(settings.network, max_atoms=data.max_atoms)
    statistics = CDVAEStatistics.fit(data.crystals, energies_of(data))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        loss = CDVAELoss(CDVAE(config), statistics, settings)

    def batches(some: CrystalSet, epochs: int, teacher_share: float) -> CrystalsInBatches:
        return CrystalsInBatches(
            some.crystals, energies_of(some), statistics, batch_size=settings.batch_size,
            epochs=epochs, seed=settings.seed, latent=config.latent,
            levels=settings.noise.noise_levels, teacher_share=teacher_share,
        )  # fmt: skip

    rows = batches(data, settings.epochs, settings.teacher_share)
    checked = batches(held_out[: settings.validation_rows], 1, 0.0)  # cells as in sampling
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
        warmup_steps=max(1, round(settings.warmup_share * len(rows))),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        seed=settings.seed,
    )
    with used_threads(settings.threads):
        trainer = CrystalTrainer(
            loss,
            arguments,
            out,
            rows,
            only,
            per_epoch=rows.per_epoch,
            held_out=checked,
            optimizer=settings.optimizer,
            ema_decay=settings.ema_decay,
            progress=progress,
        )
        average = cast(CDVAELoss, trainer.run())
    return CDVAEModel.of(average.network, statistics, settings.noise, place)


def energies_of(data: CrystalSet) -> np.ndarray:
    """(B,) formation energies in eV/atom; NaN where unknown."""
    return data.properties.get("formation_energy", np.full(len(data), np.nan))
