"""Training of the flow with `transformers.Trainer`, resumable to the bit."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from flowllm.errors import InputError
from flowllm.methods.flow.batches import PairBatches, only
from flowllm.methods.flow.couplings.alignment import squared_torus_distances
from flowllm.methods.flow.couplings.pairs import PairSet, flat_cells
from flowllm.methods.flow.loss import FlowMatcher
from flowllm.methods.flow.monitor import EMA_FILE, AverageCallback, MonitorCallback
from flowllm.methods.flow.refiner import FlowRefiner
from flowllm.methods.flow.settings import FlowTrainSettings
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import claim, flat_settings
from flowllm.training.device import resolve_device
from flowllm.training.muon import muon_factory
from flowllm.training.ranks import open_shared_run

COMMAND = "train-flow"
Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
KEPT = ("model.safetensors", EMA_FILE, "optimizer.pt", "scheduler.pt")


def train_flow(
    pairs: PairSet,
    config: FlowTrainSettings,
    out: str | Path,
    progress: Progress | None = None,
    run: RunFolder | None = None,
) -> FlowRefiner:
    """Train a flow on pairs, or go on where an earlier run with the same arguments stopped.

    Under `out`: `checkpoint-N/` (the last two), `log.jsonl`, `run.json`, and in the end
    `model/`, which `FlowRefiner.from_pretrained` reads: the moving average of the weights. The
    data order, t and noise follow from the seed and the step; a run that was killed and started
    again equals an uninterrupted one to the bit, on the same CPU and number of threads.

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
    pairs: PairSet, config: FlowTrainSettings, out: Path, progress: Progress | None
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
    held_out = PairBatches(validation, config.network.cell_map, config.batch_size, 1, config.seed)
    trainer = FlowTrainer(
        model=matcher,
        args=_arguments(config, out, device, len(data)),
        train_dataset=data,
        data_collator=only,
        optimizer_cls_and_kwargs=(
            (muon_factory, {"lr": config.learning_rate, "weight_decay": config.weight_decay})
            if config.optimizer == "muon"
            else None
        ),
    )
    checkpoint = last_checkpoint(out)
    average = AverageCallback(copy.deepcopy(trainer.model), config.ema_decay, checkpoint)
    trainer.average = average
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(average)
    trainer.monitor = MonitorCallback(
        out / "log.jsonl", config, data.per_epoch, held_out, average, progress
    )
    trainer.add_callback(trainer.monitor)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    refiner = FlowRefiner(average.model.velocity, device=str(device))
    if trainer.is_world_process_zero():
        refiner.save_pretrained(out / "model", half=config.half)
    return refiner


class FlowTrainer(Trainer):
    """The Trainer with batches in the order of the steps, and the average saved in checkpoints."""

    average: AverageCallback
    monitor: MonitorCallback

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        data: Any = train_dataset if train_dataset is not None else self.train_dataset
        return SequentialSampler(data)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss, whose parts go to the log."""
        outputs = model(**inputs)
        self.monitor.collect(outputs)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Weights and their average; the Trainer's own would add a pickle of its arguments."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        weights = state_dict if state_dict is not None else self.model.state_dict()
        for name, values in (
            ("model.safetensors", weights),
            (EMA_FILE, self.average.model.state_dict()),
        ):
            tensors = {key: value.detach().cpu().contiguous() for key, value in values.items()}
            save_file(tensors, folder / name, metadata={"format": "pt"})


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
    held = np.random.default_rng([seed, 17]).permutation(len(names))[:count]
    is_held = np.isin(pairs.c1.ids, names[held])
    return pairs[np.flatnonzero(~is_held)], pairs[np.flatnonzero(is_held)]


def last_checkpoint(out: Path) -> Path | None:
    """The newest complete checkpoint under a folder; one cut off by a kill is removed.

    The Trainer writes trainer_state.json last, so a checkpoint with it is complete.
    """
    found: list[tuple[int, Path]] = []
    for folder in out.glob("checkpoint-*"):
        try:
            step = int(
                json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))[
                    "global_step"
                ]
            )
            if not all((folder / name).is_file() for name in KEPT):
                raise ValueError("incomplete")
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        found.append((step, folder))
    return max(found)[1] if found else None


def _arguments(
    config: FlowTrainSettings, out: Path, device: torch.device, steps: int
) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=1,  # one pass over PairBatches is all epochs over the pairs
        per_device_train_batch_size=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(config.warmup_share * steps)) if config.warmup_share else 0,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=2,
        eval_strategy="no",
        seed=config.seed,
        use_cpu=device.type == "cpu",
        bf16=config.bf16,
        report_to="none",
        disable_tqdm=config.disable_tqdm,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )
    if arguments.n_gpu > 1:  # several GPUs through accelerate launch only, never DataParallel
        arguments._n_gpu = 1
    return arguments


def run_settings(config: FlowTrainSettings, pairs: PairSet) -> dict[str, Any]:
    """What a run of training depends on, by name: all but how it is computed and shown."""
    binding = {*config.binding(), *asdict(config.network)}
    settings = {name: value for name, value in flat_settings(config).items() if name in binding}
    return {**settings, "pairs": pairs.c0.digest() + pairs.c1.digest()}
