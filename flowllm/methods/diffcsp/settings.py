"""Settings of DiffCSP: how it samples and is trained. Kept apart from what needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from flowllm.errors import InputError
from flowllm.networks.diffcsp_settings import DiffCSPConfig
from flowllm.settings import setting
from flowllm.systems.frames import check_record
from flowllm.training.settings import Task, TaskTrainSettings

Entry = Literal["raw", "scaled", "noised"]
MOST_STEPS = 1000
"""T, the steps of the diffusion that is learnt."""
MOST_GAMMA = 1e-2


@dataclass(frozen=True)
class DiffCSPSettings:
    """Settings of the reverse diffusion; checks itself.

    Attributes:
        steps: number of noise levels visited; evenly spaced among the 1,000. Each takes two
            evaluations of the network. Crystals that enter midway visit their share of them.
        entry: noising of crystals on entry: "raw" (none, as in CrysLLMGen), "scaled" (the lattice
            times √ᾱ) or "noised" (lattice and coordinates with the noise of the level of entry). It
            does not matter for crystals that enter at the start.
        csp_gamma: corrector step size γ; in structure prediction. 0 is off.
        dng_gamma: the same when species are generated.
        single_precision: compute the network in single precision; this takes two fifths of the
            time. The dynamics enlarge its rounding until a crystal differs with the batch in which
            it is computed: after 200 steps of weights that were trained for minutes by a quarter of
            a cell, in double precision by 1e-9. After 1,000 such steps both differ.
        record: keep a hundred frames, evenly spaced; or a number of frames (2 to 100); or only the
            first and last.
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
            raise InputError(f"unknown entry {self.entry!r}; choose from {known}")
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
class DiffCSPTrainSettings(TaskTrainSettings):
    """Training settings of the two networks, each trained on its own; checks itself.

    Attributes:
        task: tasks to train: structure prediction ("csp"), generation of everything ("dng"), or
            both. A system whose prior gives every species trains the first alone.
        network: size and inputs of each network.
        epochs: passes over the training crystals; each with new noise.
        learning_rate: peak learning rate; after the warm-up, a cosine brings it to 0. In short runs
            on 19,200 crystals the validation loss of structure prediction was 1.489 after 300 steps
            and 1.313 after 900; at 5e-3 1.529 and 1.344; of AdamW at 1e-3 1.552 after 300.
        coord_weight: loss weight of the normalised scores.
        lattice_weight: loss weight of the lattice noise.
        species_weight: loss weight of the species noise.

    Raises:
        InputError: a value is out of range.
    """

    network: DiffCSPConfig = field(default_factory=DiffCSPConfig)
    learning_rate: float = 2e-2
    coord_weight: float = 1.0
    lattice_weight: float = 1.0
    species_weight: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.coord_weight + self.lattice_weight:
            raise InputError("coord_weight and lattice_weight must not both be 0")

    @classmethod
    def paper(cls) -> DiffCSPTrainSettings:
        """DiffCSP's network and optimisation on a GPU: AdamW, rate 1e-3, no decay of weights."""
        return cls(
            network=DiffCSPConfig.paper(), epochs=1000, batch_size=256, learning_rate=1e-3,
            warmup_share=0.0, weight_decay=0.0, optimizer="adamw", max_grad_norm=0.5,
        )  # fmt: skip
