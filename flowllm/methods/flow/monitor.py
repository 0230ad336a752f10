"""What goes along with training: the moving average of the weights, the log, the validation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from flowllm.methods.flow.batches import PairBatches
from flowllm.methods.flow.loss import FlowMatcher
from flowllm.methods.flow.settings import FlowTrainSettings

EMA_FILE = "ema.safetensors"
LOSSES = ("loss", "coord_loss", "cell_loss")


class AverageCallback(TrainerCallback):
    """Exponential moving average of the weights (the Trainer has none).

    After step k the decay is min(decay, (1 + k) / (10 + k)), so that short runs forget their start.

    Args:
        model: a copy of the model, which becomes the average.
        decay: the final decay.
        checkpoint: folder of the checkpoint that is resumed.
    """

    def __init__(self, model: FlowMatcher, decay: float, checkpoint: Path | None) -> None:
        self.model, self.decay, self.checkpoint = (
            model.eval().requires_grad_(False),
            decay,
            checkpoint,
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start from the checkpoint's average, if there is one."""
        self.model.to(args.device)
        if self.checkpoint is not None:
            self.model.load_state_dict(load_file(self.checkpoint / EMA_FILE))

    @torch.no_grad()
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the average towards the weights."""
        step = state.global_step
        decay = min(self.decay, (1 + step) / (10 + step))
        current = unwrapped(kwargs["model"])
        averages: list[torch.Tensor] = list(self.model.parameters())
        values: list[torch.Tensor] = list(current.parameters())
        torch._foreach_lerp_(averages, values, 1.0 - decay)


class MonitorCallback(TrainerCallback):
    """Writes `log.jsonl` and validates the average at fixed times t.

    Training lines hold step, epoch, seconds, loss, coord_loss and cell_loss (means since the line
    before; 1 is the variance of the target) and lr; validation lines hold val_loss, val_coord_loss
    and val_cell_loss of the average.

    Args:
        path: the log.
        config: the settings.
        per_epoch: steps per epoch.
        held_out: the validation pairs.
        average: what is validated.
        progress: called with (steps done, steps in all).
    """

    def __init__(
        self,
        path: Path,
        config: FlowTrainSettings,
        per_epoch: int,
        held_out: PairBatches,
        average: AverageCallback,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.path, self.config, self.per_epoch = path, config, per_epoch
        self.held_out, self.average, self.progress = held_out, average, progress
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0
        self.earlier, self.began = 0.0, time.perf_counter()

    def collect(self, losses: dict[str, torch.Tensor]) -> None:
        """Add the losses of a batch to the means of the next line."""
        for name in LOSSES:
            self.sums[name] = self.sums.get(name, 0.0) + losses[name].detach()
        self.count += 1

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the log's lines up to the step that is resumed, and their clock."""
        lines = read_log(self.path) if state.global_step else []
        kept = [line for line in lines if line["step"] <= state.global_step]
        self.earlier = max((line["seconds"] for line in kept), default=0.0)
        self.began = time.perf_counter()
        if state.is_world_process_zero:
            self.path.write_text(
                "".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8"
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Log, validate and report where it is due."""
        step, last = state.global_step, state.global_step >= state.max_steps
        if step % self.config.log_steps == 0 or last:
            means = {name: float(total) / max(self.count, 1) for name, total in self.sums.items()}
            self.sums, self.count = {}, 0
            if not all(np.isfinite(value) for value in means.values()):
                raise FloatingPointError(
                    f"the loss is not finite at step {step}; lower learning_rate"
                )
            self._write(state, {**means, "lr": kwargs["optimizer"].param_groups[0]["lr"]})
        if len(self.held_out) and (step % self.config.eval_steps == 0 or last):
            losses = validation_losses(self.average.model, self.held_out, args.device)
            self._write(state, {f"val_{name}": value for name, value in losses.items()})
        if self.progress:
            self.progress(step, state.max_steps)

    def _write(self, state: TrainerState, values: dict[str, float]) -> None:
        if not state.is_world_process_zero:
            return
        step = state.global_step
        seconds = round(self.earlier + time.perf_counter() - self.began, 2)
        line = {
            "step": step,
            "epoch": round(step / self.per_epoch, 4),
            "seconds": seconds,
            **values,
        }
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


@torch.no_grad()
def validation_losses(
    model: FlowMatcher, held_out: PairBatches, device: torch.device | str
) -> dict[str, float]:
    """Losses over pairs at fixed times, spread evenly over [0, 1]; draws no random number.

    Args:
        model: what is validated.
        held_out: the pairs.
        device: where the model is.
    """
    size = len(held_out.num_atoms)
    # A golden-ratio sequence: even over [0, 1] and unrelated to the crystals' sizes.
    times = (np.arange(size) * 0.6180339887498949) % 1.0
    order = np.argsort(held_out.num_atoms, kind="stable")
    totals = dict.fromkeys(LOSSES, 0.0)
    for start in range(0, size, held_out.batch_size):
        chosen = order[start : start + held_out.batch_size]
        batch = held_out.collate(chosen, times[chosen])
        losses = model(**{name: value.to(device) for name, value in batch.items()})
        for name in LOSSES:
            totals[name] += float(losses[name]) * len(chosen)
    return {name: total / size for name, total in totals.items()}


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a `log.jsonl`, without a last one that a kill cut off; of no file, none."""
    lines: list[dict[str, Any]] = []
    if not Path(path).exists():
        return lines
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The model itself inside a wrapper for several GPUs."""
    return getattr(model, "module", model)
