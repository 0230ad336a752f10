"""Settings of FlowMM: how it is integrated and trained. Kept apart from what needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from flowllm.errors import InputError
from flowllm.methods.flow.settings import MOST_ANNEALING, MOST_STEPS, Solver
from flowllm.networks.flowmm_settings import FlowMMConfig
from flowllm.settings import setting
from flowllm.systems.frames import check_record
from flowllm.training.settings import Task, TaskTrainSettings


@dataclass(frozen=True)
class FlowMMSettings:
    """Settings of the flow's integration; checks itself.

    Attributes:
        steps: integration steps from t = 0 to 1; more are slower and more accurate.
        solver: ODE solver: "euler", "midpoint" (twice the cost) or "rk4" (four times the cost).
        csp_annealing: anti-annealing s, in prediction; the velocity of the coordinates is
            multiplied by 1 + s t in structure prediction. 0 is off.
        dng_annealing: the same when species are generated.
        record: keep a hundred frames, evenly spaced; or a number of frames (2 to 100); or only the
            first and last.
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
            raise InputError(f"unknown solver {self.solver!r}; choose from {known}")
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
class FlowMMTrainSettings(TaskTrainSettings):
    """Training settings of the two networks, each trained on its own; checks itself.

    Attributes:
        network: size and inputs of each network.
        epochs: passes over the training crystals; each with a new base.
        coord_weight: loss weight of the coordinates; in fractional units.
        cell_weight: loss weight of the standardised cell.
        species_weight: loss weight of the analog bits. The three weights are divided by their sum,
            without the last in structure prediction.

    Raises:
        InputError: a value is out of range.
    """

    network: FlowMMConfig = field(default_factory=FlowMMConfig)
    epochs: int = 70
    coord_weight: float = 400.0
    cell_weight: float = 1.0
    species_weight: float = 40.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.coord_weight + self.cell_weight:
            raise InputError("coord_weight and cell_weight must not both be 0")

    @classmethod
    def paper(cls) -> FlowMMTrainSettings:
        """FlowMM's network and optimisation: AdamW, rate 3e-4, 2,000 passes in batches of 256.

        FlowMM cuts each value of a gradient at 0.5, here its length is cut.
        """
        return cls(
            network=FlowMMConfig.paper(), epochs=2000, batch_size=256, learning_rate=3e-4,
            warmup_share=0.0, weight_decay=0.0, optimizer="adamw", max_grad_norm=0.5,
        )  # fmt: skip
