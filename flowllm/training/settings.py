"""Training settings shared by networks on crystals; kept apart from what needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from flowllm.errors import InputError
from flowllm.settings import LARGEST_TRAINING_SEED, check_seed

Task = Literal["csp", "dng"]
TASKS: tuple[Task, ...] = get_args(Task)
"""Structure prediction and de novo generation; also the folders of their networks."""
FREE = ("threads", "half", "log_steps")
"""Settings that may differ when a run is taken up again; the others change the result."""
WHOLE = ("epochs", "batch_size", "validation_rows", "eval_steps", "save_steps", "log_steps")
SHARES = ("warmup_share", "ema_decay")
POSITIVE = ("learning_rate", "max_grad_norm")
WEIGHT = "_weight"  # of a part of the loss: how its name ends


@dataclass(frozen=True)
class NetworkTrainSettings:
    """Settings of network training; checks itself, loss weights included.

    Attributes:
        epochs: passes over the training crystals.
        batch_size: crystals per step.
        learning_rate: peak learning rate; after the warm-up, a cosine brings it to 0.
        warmup_share: share of the steps for the warm-up; the rate rises in it.
        weight_decay: decoupled weight decay.
        optimizer: optimiser: "muon" (AdamW for all but the matrices) or "adamw".
        max_grad_norm: maximum gradient norm; longer gradients are clipped.
        ema_decay: EMA decay of the weights; the averaged weights are the ones kept.
        validation_rows: validation crystals to score; at each validation.
        eval_steps: steps between validations.
        save_steps: steps between checkpoints.
        log_steps: steps between lines of the log.
        seed: random seed; sets weights, order, times and noise.
        threads: CPU threads; 0 uses all.
        half: save the final weights in float16.

    Raises:
        InputError: a value is out of range.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 1e-2
    warmup_share: float = 0.03
    weight_decay: float = 0.1
    optimizer: Literal["muon", "adamw"] = "muon"
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    validation_rows: int = 1024
    eval_steps: int = 1000
    save_steps: int = 1000
    log_steps: int = 100
    seed: int = 0
    threads: int = 0
    half: bool = True

    def __post_init__(self) -> None:
        for name in WHOLE:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number above 0, not {value!r}")
        weights = [one.name for one in fields(self) if one.name.endswith(WEIGHT)]
        for name in ("weight_decay", *weights):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)!r}")
        for name in SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        for name in POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        check_seed(self.seed, LARGEST_TRAINING_SEED)


@dataclass(frozen=True)
class TaskTrainSettings(NetworkTrainSettings):
    """Training settings of the networks of two tasks, each trained on its own.

    Attributes:
        task: tasks to train: structure prediction ("csp"), generation of everything ("dng"), or
            both.
    """

    task: Literal["both", "csp", "dng"] = "both"

    def __post_init__(self) -> None:
        if self.task not in ("both", *TASKS):
            raise InputError(f"unknown task {self.task!r}; choose from both, {', '.join(TASKS)}")
        super().__post_init__()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks to train."""
        return TASKS if self.task == "both" else (self.task,)
