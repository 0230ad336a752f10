"""Training callbacks: the log, progress, and early stopping."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from flowllm.runs.files import atomic_write, open_unlinked
from flowllm.training.log import read_log

_OMITTED = ("epoch", "total_flos", "train_loss", "eval_model_preparation_time")
_OMITTED_ENDINGS = ("_runtime", "_per_second")


class LogCallback(TrainerCallback):
    """Writes `log.jsonl` (`training.log`), each step once even when a run is resumed.

    The last step is logged and validated whatever the intervals are.

    Args:
        path: the log.
        per_epoch: steps in one pass over the data.
    """

    def __init__(self, path: Path, per_epoch: float) -> None:
        self.path, self.per_epoch = path, per_epoch
        self.earlier, self.began = 0.0, time.perf_counter()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the log's lines up to the resumed step, and their clock."""
        kept = [line for line in read_log(self.path) if line["step"] <= state.global_step]
        self.earlier = max((line.get("seconds", 0.0) for line in kept), default=0.0)
        self.began = time.perf_counter()
        if state.is_world_process_zero:
            atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Log and validate the last step, so that its weights can be the best."""
        if state.global_step >= state.max_steps:
            control.should_log = True
            if args.eval_strategy != "no":
                control.should_evaluate = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Append one line.

        Raises:
            FloatingPointError: the loss is no longer finite.
        """
        step = state.global_step
        values = {
            name: value
            for name, value in (logs or {}).items()
            if name not in _OMITTED and not name.endswith(_OMITTED_ENDINGS)
        }
        losses = [values[name] for name in values if f"_{name}".endswith("_loss")]
        if "loss" in values and not all(map(math.isfinite, losses)):
            raise FloatingPointError(f"the loss is not finite at step {step}; lower learning_rate")
        if values and state.is_world_process_zero:
            seconds = round(self.earlier + time.perf_counter() - self.began, 2)
            line = {"step": step, "epoch": round(step / self.per_epoch, 4), "seconds": seconds}
            with open_unlinked(self.path, "a") as log:
                log.write(json.dumps({**line, **values}) + "\n")


class ProgressCallback(TrainerCallback):
    """Calls a function with (steps done, steps in all) after every step."""

    def __init__(self, progress: Callable[[int, int], None]) -> None:
        self.progress = progress

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report."""
        self.progress(state.global_step, state.max_steps)


class EarlyStop(TrainerCallback):
    """Ends a run when the validation loss has not fallen for a while.

    It reads the history that checkpoints keep, so that a resumed run stops where an uninterrupted
    one does.

    Args:
        patience: validations without a new least loss; 0 never stops.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop if the lowest loss is too far back."""
        if self.is_over(state.log_history):
            control.should_training_stop = True

    def is_over(self, history: list[dict[str, Any]]) -> bool:
        """Whether a run with this history should stop."""
        losses = [row["eval_loss"] for row in history if "eval_loss" in row]
        if not self.patience or not losses:
            return False
        return len(losses) - 1 - losses.index(min(losses)) >= self.patience
