"""Settings of the equivariant flow: how it refines and is trained; nothing heavy is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from flowllm.errors import InputError
from flowllm.methods.equivariant.noise_settings import NoiseSettings
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.settings import LARGEST_TRAINING_SEED, check_seed, setting
from flowllm.systems.frames import check_record, kept_frames

MOST_STEPS = 10**4


@dataclass(frozen=True)
class EquivariantSettings:
    """How crystals are refined.

    Attributes:
        steps: from the prior's crystal to the refined one; each goes its share of what is left.
        record: keep the frame of every step, not only the first and the last; or a number of frames
            (2 or more), spread evenly over the steps.
        batch_size: crystals computed together.

    Raises:
        InputError: a value is out of range.
    """

    steps: int = setting(5, low=1, high=50, label="Integration steps", short="Steps")
    record: bool | int = setting(False, form=False, type=bool)
    batch_size: int = setting(64, option=False, form=False)

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(f"steps must be a whole number above 0, not {self.steps!r}")
        if self.steps > MOST_STEPS:
            raise InputError(f"steps must be at most {MOST_STEPS}, not {self.steps}")
        check_record(self.record)
        if self.batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, not {self.batch_size!r}")

    @property
    def frames(self) -> list[int]:
        """The steps after which a frame is kept, from 0 to `steps`."""
        return kept_frames(self.record, self.steps)


@dataclass(frozen=True)
class EquivariantTrainSettings:
    """How the equivariant flow is trained.

    Attributes:
        network: sizes.
        noise: of the copies that it learns from.
        epochs: passes over the training crystals, each with new noise.
        batch_size: crystals a step.
        learning_rate: highest rate, after the warm-up; a cosine brings it to 0.
        warmup_share: share of the steps in which the rate rises.
        weight_decay: decoupled.
        optimizer: "muon" (matrices by Muon, the rest by AdamW) or "adamw".
        max_grad_norm: gradients longer than this are cut.
        strain_weight: Å by which the error of the strain is multiplied, to add it to that of the
            displacements.
        softness: Å below which an error counts by its square, above by itself (pseudo-Huber): large
            noise, whose way back is a guess, would else drown the small one.
        warm_share: share of the steps in which noise and softness come down to what is asked. A
            network that begins with all scales learns to move nothing, and stays there: most copies
            are nearer to their target than it can tell.
        warm_smallest: the smallest share of the noise's maximum with which this begins.
        warm_softness: Å of the softness with which it begins.
        pairs_share: share of the copies that begin at a prediction of their crystal, where there is
            one, not at noise; 0 trains on noise alone.
        ema_decay: of the moving average of the weights, which is what is kept in the end.
        validation_rows: crystals of the validation split that are scored on the way.
        eval_steps: steps between validations.
        save_steps: steps between checkpoints.
        log_steps: steps between lines of the log.
        seed: of weights, order, times and noise.
        threads: processor threads; 0 takes all.
        half: final weights in float16 on disk.

    Raises:
        InputError: a value is out of range.
    """

    network: EquivariantConfig = field(default_factory=EquivariantConfig)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    epochs: int = 24
    batch_size: int = 64
    learning_rate: float = 1e-2
    warmup_share: float = 0.03
    weight_decay: float = 0.1
    optimizer: Literal["muon", "adamw"] = "muon"
    max_grad_norm: float = 1.0
    strain_weight: float = 3.0
    softness: float = 0.005
    warm_share: float = 0.6
    warm_smallest: float = 0.3
    warm_softness: float = 0.3
    pairs_share: float = 0.5
    ema_decay: float = 0.999
    validation_rows: int = 512
    eval_steps: int = 500
    save_steps: int = 500
    log_steps: int = 50
    seed: int = 0
    threads: int = 0
    half: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "eval_steps", "save_steps", "log_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        for name in ("weight_decay", "strain_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)!r}")
        for name in ("warmup_share", "ema_decay", "warm_share"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        for name in ("learning_rate", "max_grad_norm", "softness", "warm_softness"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if not 0 <= self.pairs_share <= 1:
            raise InputError(f"pairs_share must be in [0, 1], not {self.pairs_share!r}")
        if not 0 < self.warm_smallest <= 1:
            raise InputError(f"warm_smallest must be in (0, 1], not {self.warm_smallest!r}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        check_seed(self.seed, LARGEST_TRAINING_SEED)
