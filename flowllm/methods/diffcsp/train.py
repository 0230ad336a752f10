"""Training of DiffCSP's networks on crystals, each resumable to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.base.optimise import optimise
from flowllm.methods.base.tasks import DNG
from flowllm.methods.diffcsp.batches import HeldOutNoise, NoiseBatches, cell_scale
from flowllm.methods.diffcsp.loss import DiffCSPMatcher
from flowllm.methods.diffcsp.settings import DiffCSPTrainSettings
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.training.device import resolve_device
from flowllm.training.settings import Task


def train_task(
    task: Task,
    training: CrystalBatch,
    held_out: CrystalBatch,
    settings: DiffCSPTrainSettings,
    out: Path,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> DiffCSPNet:
    """Train the network of one task, or resume an earlier run.

    Under `out`: `checkpoints/` (the last two) and `log.jsonl` (`training.log`; a part of the loss
    of 1 is the variance of its target).

    Args:
        task: structure prediction or generation.
        training: crystals to learn from.
        held_out: other crystals, for validation.
        settings: of the training.
        out: folder of this task.
        device: where to train.
        progress: called with (steps done, steps in all).

    Returns:
        The moving average of the weights.

    Raises:
        InputError: a crystal has a species that DiffCSP does not know.
        FloatingPointError: the loss is no longer finite.
    """
    place, seed = resolve_device(device), settings.seed
    data = NoiseBatches(training, task == DNG, settings.batch_size, settings.epochs, seed)
    config = replace(
        settings.network, draws_species=task == DNG, cell_scale=round(cell_scale(training), 4)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        matcher = DiffCSPMatcher(config, settings)
    validation = HeldOutNoise(held_out[: settings.validation_rows], data)
    average = optimise(matcher, data, data.per_epoch, validation, settings, out, place, progress)
    return average.network
