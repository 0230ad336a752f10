"""Settings of CDVAE: how it draws, refines and is trained; nothing heavy is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from flowllm.errors import InputError
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.networks.cdvae.settings import CDVAEConfig
from flowllm.settings import setting
from flowllm.systems.frames import check_record
from flowllm.training.settings import NetworkTrainSettings

LatentSource = Literal["seed", "encoded"]
MOST_STEPS = 1000


@dataclass(frozen=True)
class CDVAEPriorSettings:
    """No settings: a latent vector is drawn and decoded."""


@dataclass(frozen=True)
class CDVAESettings:
    """Settings of the annealed Langevin dynamics.

    Attributes:
        steps_per_level: Langevin steps per noise level; the paper takes 100.
        step_size: step size at the last level, α; in Å^2. Those of the others rise with the square
            of the level. With the default, one step reaches the mean that the score points to.
        latent: origin of the latent vector: "seed", that of the prior for the crystals that it
            drew; "encoded", the encoder's mean for crystals of any other origin.
        record: keep up to 100 frames, not only the first and last; or a number of frames (2 or
            more), evenly spaced over the steps.
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
class CDVAETrainSettings(NetworkTrainSettings):
    """Settings of CDVAE's training: encoder, heads and decoder together.

    Attributes:
        network: sizes.
        noise: the levels of coordinates and species.
        epochs: passes over the training crystals.
        kl_weight: loss weight of the KL divergence; of the latent distribution from N(0, 1).
        number_weight: loss weight of the number of atoms.
        cell_weight: loss weight of the cell.
        composition_weight: loss weight of the composition.
        coords_weight: loss weight of the coordinate score.
        species_weight: loss weight of the species.
        energy_weight: loss weight of the formation energy.
        teacher_share: share of teacher-forced steps; in these the noisy crystals have their true
            cells, not the predicted ones.

    Raises:
        InputError: a value is out of range.
    """

    network: CDVAEConfig = field(default_factory=CDVAEConfig)
    noise: NoiseLevels = field(default_factory=NoiseLevels)
    epochs: int = 50
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    optimizer: Literal["muon", "adamw"] = "adamw"
    kl_weight: float = 0.01
    number_weight: float = 1.0
    cell_weight: float = 10.0
    composition_weight: float = 1.0
    coords_weight: float = 10.0
    species_weight: float = 1.0
    energy_weight: float = 1.0
    teacher_share: float = 0.5
    validation_rows: int = 512
    save_steps: int = 500
    log_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.teacher_share <= 1:
            raise InputError(f"teacher_share must be in [0, 1], not {self.teacher_share!r}")
