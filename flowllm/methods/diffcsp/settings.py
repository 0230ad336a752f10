"""Settings of DiffCSP: how it samples and is trained. Kept apart from what needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from flowllm.errors import InputError
from flowllm.networks.diffcsp_settings import DiffCSPConfig
from flowllm.settings import LARGEST_TRAINING_SEED, check_seed, setting
from flowllm.systems.frames import check_record

Task = Literal["csp", "dng"]
TASKS: tuple[Task, ...] = get_args(Task)
"""As in `flowllm.methods.base.tasks`, which imports what is heavy."""
Entry = Literal["raw", "scaled", "noised"]
MOST_STEPS = 1000
"""T, the steps of the diffusion that is learnt."""
MOST_GAMMA = 1e-2
FREE = ("task", "threads", "half", "log_steps")
"""Settings that may differ when a run is taken up again; the others change the result."""


@dataclass(frozen=True)
class DiffCSPSettings:
    """How the diffusion is run back; checks itself.

    Attributes:
        steps: of the 1,000 noise levels, so many are visited, evenly; each takes two evaluations of
            the network. Crystals that enter on the way make their share of them.
        entry: how crystals become those of the noise level at which they enter: "raw", as they are
            (CrysLLMGen's); "scaled", the lattice times √ᾱ; or "noised", lattice and coordinates
            with the noise of that level. Without meaning for crystals that enter at the start.
        csp_gamma: size γ of the corrector's steps in structure prediction; 0 is none.
        dng_gamma: the same where species are drawn.
        single_precision: compute the network in single precision, in two fifths of the time. The
            dynamics enlarge its rounding until a crystal differs with the batch in which it is
            computed: after 200 steps of weights that were trained for minutes by a quarter of a
            cell, in double precision by 1e-9. After 1,000 such steps both differ.
        record: keep frames on the way, spread evenly, a hundred of them; or a number of frames (2
            to 100); or the first and the last only.
        batch_size: crystals computed together; None takes what suits the device.

    Raises:
        InputError: a value is out of range.
    """

    steps: int = setting(200, low=10, high=MOST_STEPS, label="Diffusion steps", short="Steps")
    entry: Entry = setting("raw", form=False)
    csp_gamma: float = setting(1e-5, form=False)
    dng_gamma: float = setting(5e-6, form=False)
    single_precision: bool = setting(False, form=False)
    record: bool | int = setting(False, form=False, type=bool)
    batch_size: int | None = setting(None, option=False, form=False)

    def __post_init__(self) -> None:
        whole = isinstance(self.steps, int) and not isinstance(self.steps, bool)
        if not whole or not 1 <= self.steps <= MOST_STEPS:
            raise InputError(f"steps must be from 1 to {MOST_STEPS}, not {self.steps!r}")
        if self.entry not in get_args(Entry):
            known = ", ".join(get_args(Entry))
            raise InputError(f"no entry {self.entry!r}; there are {known}")
        for name in ("csp_gamma", "dng_gamma"):
            if not 0 <= getattr(self, name) <= MOST_GAMMA:
                raise InputError(
                    f"{name} must be from 0 to {MOST_GAMMA:g}, not {getattr(self, name)!r}"
                )
        check_record(self.record)
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, not {self.batch_size!r}")

    def gamma(self, task: Task) -> float:
        """γ of a task."""
        return self.csp_gamma if task == "csp" else self.dng_gamma


@dataclass(frozen=True)
class DiffCSPTrainSettings:
    """How the two networks are trained, each on its own; checks itself.

    Attributes:
        task: structure prediction ("csp"), generation of everything ("dng"), or both. A system
            whose prior gives every species trains the first alone.
        network: size and inputs of each network.
        epochs: passes over the training crystals, each with new noise.
        batch_size: crystals a step.
        learning_rate: highest rate, after the warm-up; a cosine brings it to 0. In short runs on
            19,200 crystals the validation loss of structure prediction was 1.489 after 300 steps
            and 1.313 after 900; at 5e-3 1.529 and 1.344; of AdamW at 1e-3 1.552 after 300.
        warmup_share: share of the steps in which the rate rises.
        weight_decay: decoupled.
        optimizer: "muon" (matrices by Muon, the rest by AdamW) or "adamw".
        max_grad_norm: gradients longer than this are cut.
        coord_weight: of the normalised scores.
        lattice_weight: of the noise in the lattice.
        species_weight: of the noise in species.
        ema_decay: of the moving average of the weights, which is what is kept in the end.
        validation_rows: crystals of the validation split that are scored on the way.
        eval_steps: steps between validations.
        save_steps: steps between checkpoints.
        log_steps: steps between lines of the log.
        seed: of weights, order, noise levels and noise.
        threads: processor threads; 0 takes all.
        half: final weights in float16 on disk.

    Raises:
        InputError: a value is out of range.
    """

    task: Literal["both", "csp", "dng"] = "both"
    network: DiffCSPConfig = field(default_factory=DiffCSPConfig)
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 2e-2
    warmup_share: float = 0.03
    weight_decay: float = 0.1
    optimizer: Literal["muon", "adamw"] = "muon"
    max_grad_norm: float = 1.0
    coord_weight: float = 1.0
    lattice_weight: float = 1.0
    species_weight: float = 20.0
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
        for name in ("weight_decay", "coord_weight", "lattice_weight", "species_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be 0 or more, not {getattr(self, name)!r}")
        if not self.coord_weight + self.lattice_weight:
            raise InputError("coord_weight and lattice_weight must not both be 0")
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
    def paper(cls) -> DiffCSPTrainSettings:
        """DiffCSP's network and optimisation on a GPU: AdamW, rate 1e-3, no decay of weights."""
        return cls(
            network=DiffCSPConfig.paper(), epochs=1000, batch_size=256, learning_rate=1e-3,
            warmup_share=0.0, weight_decay=0.0, optimizer="adamw", max_grad_norm=0.5,
        )  # fmt: skip

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What is trained."""
        return TASKS if self.task == "both" else (self.task,)
