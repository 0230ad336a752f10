"""What a training run leaves on disk as it goes: its log and its checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from flowllm.runs.files import atomic_write


class LossLog(TrainerCallback):
    """Writes every logged figure as a line of JSON, each step once even when a run is resumed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Drop what an interrupted run logged after the checkpoint that this one starts from."""
        if self.path.is_file() and state.is_world_process_zero:
            lines = self.path.read_text().splitlines()
            kept = [line for line in lines if _step_of(line) <= state.global_step]
            atomic_write(self.path, "".join(line + "\n" for line in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Append one line."""
        if logs and state.is_world_process_zero:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


def _step_of(line: str) -> float:
    """The step of a line of the log; a line that a killed run left half-written has none."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


class EarlyStop(TrainerCallback):
    """Ends a run when the validation loss has not fallen for a while, and scores its last step.

    What it knows it reads from the log that checkpoints keep, so a resumed run stops where an
    uninterrupted one does.

    Args:
        patience: validations without a new least loss; 0 never stops.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last step is validated too, or its weights could not be the best."""
        if state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop where the least loss lies too far back."""
        if self.is_over(state.log_history):
            control.should_training_stop = True

    def is_over(self, history: list[dict[str, Any]]) -> bool:
        """Whether a run with this log has waited long enough."""
        losses = [row["eval_loss"] for row in history if "eval_loss" in row]
        if not self.patience or not losses:
            return False
        return len(losses) - 1 - losses.index(min(losses)) >= self.patience


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder; incomplete ones are removed.

    The Trainer writes checkpoints in place, and their `trainer_state.json` last: where that cannot
    be read, the run was killed while it wrote.
    """
    found = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdigit()
    }
    for _, path in sorted(found.items(), reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_text())
            return path
        except (OSError, ValueError):
            shutil.rmtree(path)
    return None
