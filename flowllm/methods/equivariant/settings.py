"""Settings of the equivariant flow: how it refines and is trained; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowllm.errors import InputError
from flowllm.methods.equivariant.noise_settings import NoiseSettings
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.settings import setting
from flowllm.systems.frames import check_record, kept_frames
from flowllm.training.settings import NetworkTrainSettings

MOST_STEPS = 10**4


@dataclass(frozen=True)
class EquivariantSettings:
    """Settings of the refinement.

    Attributes:
        steps: number of refinement steps; each covers its share of the remaining distance.
        record: keep every frame, not only the first and last; or a number of frames (2 or more),
            evenly spaced over the steps.
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
class EquivariantTrainSettings(NetworkTrainSettings):
    """Training settings of the equivariant flow.

    Attributes:
        network: sizes.
        noise: of the copies that it learns from.
        epochs: passes over the training crystals; each with new noise.
        strain_weight: loss weight of the strain, in Å; multiplied by it, the error of the strain is
            added to that of the displacements.
        softness: pseudo-Huber threshold, in Å; smaller errors count by their square, larger ones by
            themselves: large noise, whose way back is a guess, would otherwise drown the small one.
        warm_share: share of the steps for annealing; noise and softness come down to their final
            values in it. A network that begins with all scales learns to move nothing, and stays
            there: most copies are nearer to their target than it can tell.
        warm_smallest: smallest relative noise at the start; of this annealing.
        warm_softness: softness at the start, in Å.
        pairs_share: share of copies from predictions; these begin at a prediction of their crystal,
            where there is one, not at noise. 0 trains on noise alone.

    Raises:
        InputError: a value is out of range.
    """

    network: EquivariantConfig = field(default_factory=EquivariantConfig)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    epochs: int = 24
    strain_weight: float = 3.0
    softness: float = 0.005
    warm_share: float = 0.6
    warm_smallest: float = 0.3
    warm_softness: float = 0.3
    pairs_share: float = 0.5
    validation_rows: int = 512
    eval_steps: int = 500
    save_steps: int = 500
    log_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.warm_share < 1:
            raise InputError(f"warm_share must be in [0, 1), not {self.warm_share!r}")
        for name in ("softness", "warm_softness"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if not 0 <= self.pairs_share <= 1:
            raise InputError(f"pairs_share must be in [0, 1], not {self.pairs_share!r}")
        if not 0 < self.warm_smallest <= 1:
            raise InputError(f"warm_smallest must be in (0, 1], not {self.warm_smallest!r}")
