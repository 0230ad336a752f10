"""Settings of the flow: how it is integrated and trained. Kept apart from what needs torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from flowllm.errors import InputError
from flowllm.networks.settings import VelocityConfig
from flowllm.settings import LARGEST_TRAINING_SEED, check_seed, setting
from flowllm.systems.frames import check_record, kept_frames

Solver = Literal["euler", "midpoint", "rk4"]
"""The names of `flowllm.methods.flow.ode.SOLVERS`."""

MOST_STEPS, MOST_ANNEALING = 10**6, 1e4
FREE = ("device", "threads", "log_steps", "half")
"""Settings that may differ when a run is taken up again; the others change the result."""


@dataclass(frozen=True)
class RefineSettings:
    """Settings of the flow's integration; checks itself.

    Attributes:
        steps: integration steps from t = 0 to 1; more are slower and more accurate.
        solver: ODE solver: "euler", "midpoint" (twice the cost) or "rk4" (four times the cost).
        anti_annealing: anti-annealing of the coordinates, s; their velocity is multiplied by 1 + s
            t. 0 is off.
        record: keep every frame, not only the first and last; or a number of frames (2 or more),
            evenly spaced over the steps.
        batch_size: crystals computed together; None takes what suits the device.
        symprec: tolerance for keeping symmetry, in Å; the space group that spglib finds before the
            refinement is kept. 0 lets the flow break it.

    Raises:
        InputError: a value is out of range.
    """

    steps: int = setting(25, low=1, high=100, label="Integration steps", short="Steps")
    solver: Solver = setting("euler", form=False)
    anti_annealing: float = setting(0.0, form=False)
    record: bool | int = setting(False, form=False, type=bool)
    batch_size: int | None = setting(None, option=False, form=False)
    # the network is not equivariant under rotations: without this, atoms leave their Wyckoff
    # positions by a little
    symprec: float = setting(
        0.0, low=0.0, high=0.5, step=0.01, label="Symprec (Å)", short="Symprec", zero="off"
    )

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(f"steps must be a whole number above 0, not {self.steps!r}")
        if self.solver not in get_args(Solver):
            known = ", ".join(get_args(Solver))
            raise InputError(f"unknown solver {self.solver!r}; choose from {known}")
        if self.steps > MOST_STEPS:
            raise InputError(f"steps must be at most {MOST_STEPS}, not {self.steps}")
        if not (math.isfinite(self.anti_annealing) and self.anti_annealing >= 0):
            raise InputError(f"anti_annealing must be 0 or more, not {self.anti_annealing!r}")
        if self.anti_annealing > MOST_ANNEALING:
            raise InputError(f"anti_annealing must be at most {MOST_ANNEALING:g}")
        check_record(self.record)
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, not {self.batch_size!r}")
        if not 0 <= self.symprec < 1:
            raise InputError(
                f"symprec must be a distance in Å from 0 to below 1, not {self.symprec!r}"
            )

    @classmethod
    def paper(cls) -> RefineSettings:
        """FlowLLM's 250 Euler steps with an anti-annealing of 5."""
        return cls(steps=250, anti_annealing=5.0)

    @property
    def frames(self) -> list[int]:
        """The steps after which a frame is kept, from 0 to `steps`."""
        return kept_frames(self.record, self.steps)


@dataclass(frozen=True)
class FlowTrainSettings:
    """Training settings of the flow; checks itself.

    Attributes:
        network: size and inputs of the network.
        epochs: passes over the pairs.
        batch_size: pairs per step and device.
        learning_rate: peak learning rate; after the warm-up, a cosine brings it to 0.
        warmup_share: share of the steps for the warm-up; the rate rises in it.
        weight_decay: decoupled weight decay.
        optimizer: optimiser: "muon" (AdamW for all but the matrices) or "adamw".
        max_grad_norm: maximum gradient norm; longer gradients are clipped.
        coord_weight: loss weight of the coordinates; lambda_f, in fractional units.
        cell_weight: loss weight of the standardised cell; lambda_l.
        max_distance: drop pairs farther apart than this; by the mean squared torus distance per
            atom. 0.25 is what uniform noise has, and 1 drops none.
        max_strain: drop pairs strained more than this; by the relative stretch between their cells.
        coord_noise: Gaussian noise on prior coordinates; fractional, drawn anew at each step.
        cell_noise: Gaussian noise on prior cells; on the flat cell of c0, in standard deviations.
        ema_decay: EMA decay of the weights; the averaged weights are the ones kept.
        validation_share: share of the pairs held out; never of a target that is trained on.
        eval_steps: steps between validations.
        save_steps: steps between checkpoints.
        log_steps: steps between lines of the log.
        seed: random seed; sets weights, order, times and noise.
        device: "auto", "cpu", "cuda" or "mps".
        threads: CPU threads; 0 uses all.
        bf16: train in mixed precision, on CUDA only; on CPUs bf16 was measured 400 times slower.
        half: save the final weights in float16.

    Raises:
        InputError: a value is out of range.
    """

    network: VelocityConfig = field(default_factory=VelocityConfig)
    epochs: int = 16
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_share: float = 0.03
    weight_decay: float = 0.1
    optimizer: Literal["muon", "adamw"] = "muon"
    max_grad_norm: float = 1.0
    coord_weight: float = 6000.0
    cell_weight: float = 1.0
    max_distance: float = 0.02
    max_strain: float = 0.1
    coord_noise: float = 0.0
    cell_noise: float = 0.0
    ema_decay: float = 0.999
    validation_share: float = 0.02
    eval_steps: int = 500
    save_steps: int = 500
    log_steps: int = 50
    seed: int = 0
    device: str = setting("auto", option=False)
    threads: int = 0
    bf16: bool = False
    half: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "eval_steps", "save_steps", "log_steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number above 0, not {value!r}")
        for name in ("weight_decay", "coord_weight", "cell_weight", "coord_noise", "cell_noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)!r}")
        for name in ("warmup_share", "ema_decay", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        for name in ("learning_rate", "max_grad_norm", "max_distance", "max_strain"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        if self.bf16 and self.device in ("cpu", "mps"):
            raise InputError("bf16 is for CUDA only; on a CPU it is hundreds of times slower")
        check_seed(self.seed, LARGEST_TRAINING_SEED)

    @classmethod
    def paper(cls) -> FlowTrainSettings:
        """FlowLLM's loss weights and training (section 4 and appendix); no pair is left out.

        The paper's learning rate is one of 1e-3 to 1e-4; this is the highest of them.
        """
        return cls(
            network=VelocityConfig.paper(), epochs=20, batch_size=256, learning_rate=1e-3,
            weight_decay=0.0, optimizer="adamw", coord_weight=200.0, max_distance=1.0,
            max_strain=10.0,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def binding(self) -> dict[str, Any]:
        """The values that a resumed run must not change."""
        return {name: value for name, value in self.to_dict().items() if name not in FREE}


@dataclass(frozen=True)
class SimpleBaseFlowSettings(FlowTrainSettings):
    """The same for pairs of a simple base and a crystal, which are far apart: none is left out.

    Attributes:
        epochs: passes over the pairs; each crystal has several of them.
        coord_weight: loss weight of the coordinates; lambda_f, in fractional units, FlowLLM's
            value.
        max_distance: drop pairs farther apart than this; the default drops none.
        max_strain: drop pairs strained more than this; the default drops none.
    """

    epochs: int = 5
    coord_weight: float = 200.0
    max_distance: float = 1.0
    max_strain: float = 10.0
