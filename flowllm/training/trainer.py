"""One trainer for every network: `transformers.Trainer`, resumable to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler
from transformers import TrainerControl, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from flowllm.training.callbacks import LogCallback, ProgressCallback
from flowllm.training.checkpoints import CHECKPOINTS, last_checkpoint, seal
from flowllm.training.ema import AverageCallback, unwrapped
from flowllm.training.log import LOG
from flowllm.training.losses import loss_parts, mean_losses
from flowllm.training.muon import muon_factory
from flowllm.training.ranks import from_main


class CrystalTrainer(transformers.Trainer):
    """Trains a network on a data set arranged in the order of the steps.

    A run that was killed and started again with the same arguments ends as an uninterrupted one,
    to the bit on the same processor and number of threads, provided that item k of the data set
    depends on k and a seed alone. Under `out`: `checkpoints/checkpoint-N/` (the last two) and
    `log.jsonl` (`training.log`).

    Args:
        model: its forward takes the tensors of a batch by name and returns a mapping with `loss`;
            further scalars whose names end in `_loss` are logged beside it.
        arguments: as `training_arguments` gives them.
        out: folder of the run.
        data: the items of all epochs, one after the other.
        collate: makes a batch of a list of items.
        per_epoch: steps in one pass over the data.
        held_out: items that are not trained on, for validation; None validates nothing.
        optimizer: "muon" (matrices by Muon, the rest by AdamW), or "adamw", torch's own.
        ema_decay: of the moving average of the weights; None keeps no average.
        progress: called with (steps done, steps in all).
        **more: further arguments of `transformers.Trainer`. With `compute_metrics`, validation is
            its own; without, it is `training.losses.mean_losses` of the average, if there is one.
    """

    control: TrainerControl

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        out: Path,
        data: Dataset[Any],
        collate: Callable[[Any], Any],
        *,
        per_epoch: float,
        held_out: Dataset[Any] | None = None,
        optimizer: str = "muon",
        ema_decay: float | None = None,
        progress: Callable[[int, int], None] | None = None,
        **more: Any,
    ) -> None:
        rates = {"lr": arguments.learning_rate, "weight_decay": arguments.weight_decay}
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=data,
            eval_dataset=held_out,
            data_collator=collate,
            optimizer_cls_and_kwargs=(muon_factory, rates) if optimizer == "muon" else None,
            **more,
        )
        self.out = out
        self.average = None if ema_decay is None else AverageCallback(self.model, ema_decay)
        self._parts: dict[str, Tensor] = {}
        self._batches = 0
        self.remove_callback(PrinterCallback)
        if self.average is not None:
            self.add_callback(self.average)
        self.add_callback(LogCallback(out / LOG, per_epoch))
        if progress is not None:
            self.add_callback(ProgressCallback(progress))

    def run(self) -> nn.Module:
        """Train, from the last complete checkpoint if there is one.

        Returns:
            The moving average of the weights, or the network itself without one.

        Raises:
            FloatingPointError: the loss is no longer finite.
        """
        last = from_main(lambda: last_checkpoint(self.out / CHECKPOINTS))
        if self.average is not None:
            self.average.checkpoint = last
        self.train(resume_from_checkpoint=None if last is None else str(last))
        return self.trained

    @property
    def trained(self) -> nn.Module:
        """The moving average of the weights, or the network itself without one."""
        return unwrapped(self.model) if self.average is None else self.average.model

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss, whose parts go to the log."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training:
            for name, value in loss_parts(outputs).items():
                self._parts[name] = self._parts[name] + value if name in self._parts else value
            self._batches += 1
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log figures; those of training with the parts of the loss."""
        if "loss" in logs:
            means = {
                name: float(self.accelerator.gather(total).mean()) / self._batches
                for name, total in self._parts.items()
            }
            logs = {"loss": logs["loss"], **means, **logs}
            self._parts, self._batches = {}, 0
        super().log(logs, start_time)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Validate; every process on all held-out items, unless `compute_metrics` was given."""
        if self.compute_metrics is not None:
            found: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            return found
        loader = DataLoader(
            self.eval_dataset if eval_dataset is None else eval_dataset,
            self.args.per_device_eval_batch_size,
            collate_fn=self.data_collator,
        )
        losses = mean_losses(self.trained.eval(), loader, self.args.device)
        figures = {f"{metric_key_prefix}_{name}": value for name, value in losses.items()}
        self.log(figures)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, figures
        )
        return figures

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, which becomes valid once all processes have written their part."""
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            seal(self.out / CHECKPOINTS / f"checkpoint-{self.state.global_step}")

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """The weights and their average, without the Trainer's pickle of its arguments."""
        super()._save(output_dir, state_dict)
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir)
        (folder / "training_args.bin").unlink(missing_ok=True)
        if self.average is not None:
            self.average.save(folder)


def training_arguments(
    out: Path,
    device: torch.device | str,
    *,
    log_steps: int,
    eval_steps: int | None,
    save_steps: int,
    **more: Any,
) -> TrainingArguments:
    """The arguments of `CrystalTrainer` that all methods share.

    Args:
        out: folder of the run.
        device: where to train.
        log_steps: steps between lines of the log, at most: the largest number that also divides
            `save_steps` is taken, so that a resumed run logs the same means.
        eval_steps: steps between validations; None validates nothing.
        save_steps: steps between checkpoints.
        **more: further ones, or others in place of these: rates, schedule, batch size, seed.
    """
    kind = torch.device(device).type
    arguments = TrainingArguments(
        **{
            "output_dir": str(out / CHECKPOINTS),
            "num_train_epochs": 1,  # one pass over the data set is all epochs
            "logging_steps": math.gcd(log_steps, save_steps),
            "logging_nan_inf_filter": False,
            "eval_strategy": "no" if eval_steps is None else "steps",
            "eval_steps": eval_steps,
            "save_strategy": "steps",
            "save_steps": save_steps,
            "save_total_limit": 2,
            "report_to": "none",
            "disable_tqdm": True,  # progress is the caller's to show
            "use_cpu": kind == "cpu",
            "remove_unused_columns": False,
            "dataloader_num_workers": 0,
            "dataloader_pin_memory": kind == "cuda",
            **more,
        }
    )
    if arguments.n_gpu > 1:  # several GPUs through accelerate launch only, never DataParallel
        arguments._n_gpu = 1
    return arguments
