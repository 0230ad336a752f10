"""Settings of FlowMM: how it is integrated and trained. Kept apart from what needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from flowllm.errors import InputError
from flowllm.methods.flow.settings import MOST_ANNEALING, MOST_STEPS, Solver
from flowllm.networks.flowmm_settings import FlowMMConfig
from flowllm.settings import LARGEST_TRAINING_SEED, check_seed, setting
from flowllm.systems.frames import check_record

Task = Literal["csp", "dng"]
TASKS: tuple[Task, ...] = get_args(Task)
"""As in `flowllm.methods.base.tasks`, which imports what is heavy."""
FREE = ("task", "threads", "half", "log_steps")
"""Settings that may differ when a run is taken up again; the others change the result."""


@dataclass(frozen=True)
class FlowMMSettings:
    """How the flow is integrated; checks itself.

    Attributes:
        steps: equal steps from t = 0 to 1; more are slower and more exact.
        solver: "euler", "midpoint" (twice its time) or "rk4" (four times).
        csp_annealing: s in the factor 1 + s t on the velocity of the coordinates, in structure
            prediction; 0 is off.
        dng_annealing: the same where species are drawn.
        record: keep frames on the way, spread evenly, a hundred of them; or a number of frames (2
            or more); or the first and the last only.
        batch_size: crystals computed together; None takes what suits the device.

    Raises:
        InputError: a value is out of range.
    """

    steps: int = setting(100, low=1, high=1000, label="Integration steps", short="Steps")
    solver: Solver = setting("euler", form=False)
    csp_annealing: float = setting(10.0, form=False)
    dng_annealing: float = setting(5.0, form=False)
    record: bool | int = setting(False, form=False, type=bool)
    batch_size: int | None = setting(None, option=False, form=False)

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise InputError(f"steps must be a whole number above 0, not {self.steps!r}")
        if self.steps > MOST_STEPS:
            raise InputError(f"steps must be at most {MOST_STEPS}, not {self.steps}")
        if self.solver not in get_args(Solver):
            known = ", ".join(get_args(Solver))
            raise InputError(f"no solver {self.solver!r}; there are {known}")
        for name in ("csp_annealing", "dng_annealing"):
            if not 0 <= getattr(self, name) <= MOST_ANNEALING:
                raise InputError(
                    f"{name} must be from 0 to {MOST_ANNEALING:g}, not {getattr(self, name)!r}"
                )
        check_record(self.record)
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, not {self.batch_size!r}")

    @classmethod
    def paper(cls) -> FlowMMSettings:
        """FlowMM's 1,000 Euler steps."""
        return cls(steps=1000)

    def annealing(self, task: Task) -> float:
        """The strength s of a task."""
        return self.csp_annealing if task == "csp" else self.dng_annealing


@dataclass(frozen=True)
class FlowMMTrainSettings:
    """How the two networks are trained, each on its own; checks itself.

    Attributes:
        task: structure prediction ("csp"), generation of everything ("dng"), or both.
        network: size and inputs of each network.
        epochs: passes over the training crystals, each with a new base.
        batch_size: crystals a step.
        learning_rate: highest rate, after the warm-up; a cosine brings it to 0.
        warmup_share: share of the steps in which the rate rises.
        weight_decay: decoupled.
        optimizer: "muon" (matrices by Muon, the rest by AdamW) or "adamw".
        max_grad_norm: gradients longer than this are cut.
        coord_weight: of the coordinates in fractional units.
        cell_weight: of the standardised cell.
        species_weight: of the analog bits. The three weights are divided by their sum, without the
            last in structure prediction.
        ema_decay: of the moving average of the weights, which is what is kept in the end.
        validation_rows: crystals of the validation split that are scored on the way.
        eval_steps: steps between validations.
        save_steps: steps between checkpoints.
        log_steps: steps between lines of the log.
        seed: of weights, order, times and base.
        threads: processor threads; 0 takes all.
        half: final weights in float16 on disk.

    Raises:
        InputError: a value is out of range.
    """

    task: Literal["both", "csp", "dng"] = "both"
    network: FlowMMConfig = field(default_factory=FlowMMConfig)
    epochs: int = 70
    batch_size: int = 64
    learning_rate: float = 1e-2
    warmup_share: float = 0.03
    weight_decay: float = 0.1
    optimizer: Literal["muon", "adamw"] = "muon"
    max_grad_norm: float = 1.0
    coord_weight: float = 400.0
    cell_weight: float = 1.0
    species_weight: float = 40.0
    ema_decay: float = 0.999
    validation_rows: int = 1024
    eval_steps: int = 1000
    save_steps: int = 1000
    log_steps: int = 100
    seed: int = 0
    threads: int = 0
    half: bool = True

    def __post_init__(self) -> None:
        if self.task not in ("both", *TASKS):
            raise InputError(f"no task {self.task!r}; there are both, {', '.join(TASKS)}")
        sizes = ("epochs", "batch_size", "validation_rows", "eval_steps", "save_steps", "log_steps")
        for name in sizes:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number above 0, not {value!r}")
        for name in ("weight_decay", "coord_weight", "cell_weight", "species_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)!r}")
        if not self.coord_weight + self.cell_weight:
            raise InputError("coord_weight and cell_weight must not both be 0")
        for name in ("warmup_share", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be in [0, 1), not {getattr(self, name)!r}")
        for name in ("learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        check_seed(self.seed, LARGEST_TRAINING_SEED)

    @classmethod
    def paper(cls) -> FlowMMTrainSettings:
        """FlowMM's network and optimisation: AdamW, rate 3e-4, 2,000 passes in batches of 256.

        FlowMM cuts each value of a gradient at 0.5, here its length is cut.
        """
        return cls(
            network=FlowMMConfig.paper(), epochs=2000, batch_size=256, learning_rate=3e-4,
            warmup_share=0.0, weight_decay=0.0, optimizer="adamw", max_grad_norm=0.5,
        )  # fmt: skip

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What is trained."""
        return TASKS if self.task == "both" else (self.task,)
