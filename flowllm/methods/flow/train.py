"""Training of the flow on pairs, resumable to the bit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import TrainingArguments

from flowllm.errors import InputError
from flowllm.methods.flow.batches import HeldOutBatches, PairBatches, only
from flowllm.methods.flow.couplings.alignment import squared_torus_distances
from flowllm.methods.flow.couplings.pairs import PairSet, flat_cells
from flowllm.methods.flow.loss import FlowMatcher
from flowllm.methods.flow.refiner import FlowRefiner
from flowllm.methods.flow.settings import FlowTrainSettings
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import claim, flat_settings
from flowllm.runs.progress import ItemProgress
from flowllm.seeds import Stream, generator
from flowllm.training.device import resolve_device, used_threads
from flowllm.training.ranks import open_shared_run
from flowllm.training.trainer import CrystalTrainer, training_arguments

COMMAND = "train-flow"


def train_flow(
    pairs: PairSet,
    config: FlowTrainSettings,
    out: str | Path,
    progress: ItemProgress | None = None,
    run: RunFolder | None = None,
) -> FlowRefiner:
    """Train a flow on pairs, or resume an earlier run with the same arguments.

    Under `out`: `checkpoints/` (the last two), `log.jsonl` (`training.log`; coord_loss and
    cell_loss of 1 are the variance of the target), `run.json`, and in the end `model/`, which
    `FlowRefiner.from_pretrained` reads: the moving average of the weights. The data order, t and
    noise follow from the seed and the step; a run that was killed and started again equals an
    uninterrupted one to the bit, on the same CPU and number of threads.

    Args:
        pairs: aligned pairs.
        config: the settings.
        out: folder of the run.
        progress: called with (steps done, steps in all).
        run: the run that fills `out`; without one it is opened here.

    Returns:
        The trained refiner.

    Raises:
        InputError: too few pairs, or `out` holds a run of other settings or pairs.
        FloatingPointError: the loss is no longer finite.
    """
    identity = run_settings(config, pairs)
    with claim(out, COMMAND, identity, run, opened=open_shared_run):
        return _train(pairs, config, Path(out), progress)


def _train(
    pairs: PairSet, config: FlowTrainSettings, out: Path, progress: ItemProgress | None
) -> FlowRefiner:
    device = resolve_device(config.device)
    if config.bf16 and device.type != "cuda":
        raise InputError("bf16 is for CUDA only; on a CPU it is hundreds of times slower")
    if len(pairs) < 2:
        raise InputError(f"training needs at least 2 pairs, not {len(pairs)}")
    pairs = close_pairs(pairs, config.max_distance, config.max_strain)
    training, validation = split_pairs(pairs, config.validation_share, config.seed)
    statistics = training.statistics(config.network.cell_map)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        matcher = FlowMatcher(config.network, statistics, config.coord_weight, config.cell_weight)
    data = PairBatches(
        training,
        config.network.cell_map,
        config.batch_size,
        config.epochs,
        config.seed,
        config.coord_noise,
        config.cell_noise,
    )
    held_out = HeldOutBatches(validation, config.network.cell_map, config.batch_size)
    with used_threads(config.threads):
        trainer = CrystalTrainer(
            matcher,
            _arguments(config, out, device, len(data), len(held_out) > 0),
            out,
            data,
            only,
            per_epoch=data.per_epoch,
            held_out=held_out if len(held_out) else None,
            optimizer=config.optimizer,
            ema_decay=config.ema_decay,
            progress=progress,
        )
        average = cast(FlowMatcher, trainer.run())
    refiner = FlowRefiner(average.velocity, device=str(device))
    if trainer.is_world_process_zero():
        refiner.save_pretrained(out / "model", half=config.half)
    return refiner


def close_pairs(pairs: PairSet, max_distance: float, max_strain: float) -> PairSet:
    """The pairs whose coordinates and cells are close to each other.

    Args:
        pairs: aligned pairs.
        max_distance: of the mean squared torus distance per atom.
        max_strain: of half the Frobenius norm of the difference of the cells' logarithmic metrics,
            which is the relative stretch for small ones.

    Raises:
        InputError: fewer than two are left.
    """
    distances = squared_torus_distances(pairs.c0, pairs.c1)
    cells = [flat_cells(crystals, "log-matrix") for crystals in (pairs.c0, pairs.c1)]
    strains = np.linalg.norm(cells[1] - cells[0], axis=1) / 2
    kept = np.flatnonzero((distances <= max_distance) & (strains <= max_strain))
    if len(kept) < 2:
        raise InputError(
            f"only {len(kept)} of {len(pairs)} pairs are closer than max_distance {max_distance:g} "
            f"and max_strain {max_strain:g}"
        )
    return pairs[kept]


def split_pairs(pairs: PairSet, share: float, seed: int) -> tuple[PairSet, PairSet]:
    """Training and validation pairs; all pairs of one target fall on the same side.

    Args:
        pairs: at least two.
        share: the share of the targets to hold out; at least one if above 0.
        seed: seed of the choice.
    """
    names = np.unique(pairs.c1.ids)
    count = min(max(round(share * len(names)), 1 if share > 0 else 0), len(names) - 1)
    held = generator(Stream.HELD_OUT, seed).permutation(len(names))[:count]
    is_held = np.isin(pairs.c1.ids, names[held])
    return pairs[np.flatnonzero(~is_held)], pairs[np.flatnonzero(is_held)]


def _arguments(
    config: FlowTrainSettings, out: Path, device: torch.device, steps: int, validates: bool
) -> TrainingArguments:
    return training_arguments(
        out,
        device,
        log_steps=config.log_steps,
        eval_steps=config.eval_steps if validates else None,
        save_steps=config.save_steps,
        per_device_train_batch_size=1,  # an item is a batch
        per_device_eval_batch_size=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(config.warmup_share * steps)) if config.warmup_share else 0,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch",
        seed=config.seed,
        bf16=config.bf16,
    )


def run_settings(config: FlowTrainSettings, pairs: PairSet) -> dict[str, Any]:
    """The settings that determine a training run, by name."""
    binding = {*config.binding(), *asdict(config.network)}
    settings = {name: value for name, value in flat_settings(config).items() if name in binding}
    return {**settings, "pairs": pairs.c0.digest() + pairs.c1.digest()}
