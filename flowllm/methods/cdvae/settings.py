"""Settings of CDVAE: how it draws, refines and is trained; nothing heavy is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from flowllm.errors import InputError
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.networks.cdvae.settings import CDVAEConfig
from flowllm.settings import LARGEST_TRAINING_SEED, check_seed, setting
from flowllm.systems.frames import check_record

LatentSource = Literal["seed", "encoded"]
MOST_STEPS = 1000


@dataclass(frozen=True)
class CDVAEPriorSettings:
    """Nothing can be set: a latent vector is drawn, and what it says is taken."""


@dataclass(frozen=True)
class CDVAESettings:
    """How the atoms are moved, by annealed Langevin dynamics.

    Attributes:
        steps_per_level: of Langevin dynamics at each of the noise levels; the paper takes 100.
        step_size: Å^2 of a step at the last level, α; those of the others rise with the square of
            the level. With the default, one step reaches the mean that the score points to.
        latent: where the latent vector comes from: "seed", that of the prior for the crystals that
            it drew; "encoded", the encoder's mean for crystals of any other origin.
        record: keep up to 100 frames, not only the first and the last; or a number of frames (2 or
            more), spread evenly over the steps.
        batch_size: crystals computed together.

    Raises:
        InputError: a value is out of range.
    """

    steps_per_level: int = setting(10, low=1, high=100, label="Langevin steps a level")
    step_size: float = setting(1e-4, form=False)
    latent: LatentSource = setting("seed", form=False)
    record: bool | int = setting(False, form=False, type=bool)
    batch_size: int = setting(16, option=False, form=False)

    def __post_init__(self) -> None:
        steps = self.steps_per_level
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
            raise InputError(f"steps_per_level must be from 1 to {MOST_STEPS}, not {steps!r}")
        if not 0 < self.step_size < math.inf:
            raise InputError(f"step_size must be above 0, not {self.step_size!r}")
        if self.latent not in get_args(LatentSource):
            raise InputError(f"latent must be seed or encoded, not {self.latent!r}")
        check_record(self.record)
        if self.batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, not {self.batch_size!r}")


@dataclass(frozen=True)
class CDVAETrainSettings:
    """How CDVAE is trained: encoder, heads and decoder together.

    Attributes:
        network: sizes.
        noise: the levels of coordinates and species.
        epochs: passes over the training crystals.
        batch_size: crystals a step.
        learning_rate: highest rate, after the warm-up; a cosine brings it to 0.
        warmup_share: share of the steps in which the rate rises.
        weight_decay: decoupled.
        optimizer: "muon" (matrices by Muon, the rest by AdamW) or "adamw".
        max_grad_norm: gradients longer than this are cut.
        kl_weight: of the Kullback-Leibler divergence of the latent distribution from N(0, 1), and
            so for the other losses.
        number_weight: of the number of atoms.
        cell_weight: of the cell.
        composition_weight: of the composition.
        coords_weight: of the score of coordinates.
        species_weight: of the species.
        energy_weight: of the formation energy.
        teacher_share: share of the steps in which the noisy crystals stand in their true cells, not
            in the predicted ones.
        ema_decay: of the moving average of the weights, which is what is kept in the end.
        validation_rows: crystals of the validation split that are scored on the way.
        eval_steps: steps between validations.
        save_steps: steps between checkpoints.
        log_steps: steps between lines of the log.
        seed: of weights, order and noise.
        threads: processor threads; 0 takes all.
        half: final weights in float16 on disk.

    Raises:
        InputError: a value is out of range.
    """

    network: CDVAEConfig = field(default_factory=CDVAEConfig)
    noise: NoiseLevels = field(default_factory=NoiseLevels)
    epochs: int = 50
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_share: float = 0.03
    weight_decay: float = 0.0
    optimizer: Literal["muon", "adamw"] = "adamw"
    max_grad_norm: float = 1.0
    kl_weight: float = 0.01
    number_weight: float = 1.0
    cell_weight: float = 10.0
    composition_weight: float = 1.0
    coords_weight: float = 10.0
    species_weight: float = 1.0
    energy_weight: float = 1.0
    teacher_share: float = 0.5
    ema_decay: float = 0.999
    validation_rows: int = 512
    eval_steps: int = 1000
    save_steps: int = 500
    log_steps: int = 50
    seed: int = 0
    threads: int = 0
    half: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "eval_steps", "save_steps", "log_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        weights = [name for name in self.__dataclass_fields__ if name.endswith("_weight")]
        for name in ("weight_decay", *weights):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)!r}")
        for name in ("warmup_share", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        if not 0 <= self.teacher_share <= 1:
            raise InputError(f"teacher_share must be in [0, 1], not {self.teacher_share!r}")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        check_seed(self.seed, LARGEST_TRAINING_SEED)
