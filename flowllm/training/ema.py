"""The exponential moving average of a network's weights (EMA)."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

EMA_FILE = "ema.safetensors"


class AverageCallback(TrainerCallback):
    """Exponential moving average of the weights (the Trainer has none).

    After step k the decay is min(decay, (1 + k) / (10 + k)), so that short runs forget their start.

    Args:
        model: the network, which is copied.
        decay: the final decay, in [0, 1).

    Attributes:
        model: the copy, which holds the average.
        checkpoint: the checkpoint that training resumes from, if any.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.checkpoint: Path | None = None

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
        averages: list[torch.Tensor] = list(self.model.parameters())
        values: list[torch.Tensor] = list(unwrapped(kwargs["model"]).parameters())
        torch._foreach_lerp_(averages, values, 1.0 - decay)

    def save(self, folder: Path) -> None:
        """Write the average into a checkpoint."""
        tensors = {
            name: value.detach().cpu().contiguous()
            for name, value in self.model.state_dict().items()
        }
        save_file(tensors, folder / EMA_FILE, metadata={"format": "pt"})


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself inside a wrapper for several GPUs."""
    return getattr(model, "module", model)
