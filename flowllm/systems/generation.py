"""Results of generation: the prior's crystals, their trajectories, and the stages' costs."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.systems.decoding_figures import DecodingFigures


@dataclass(frozen=True)
class Stage:
    """The record of one stage of a run.

    Attributes:
        name: the label of its part.
        crystals: how many came out.
        rejected: samples that were rejected.
        seconds: of work.
    """

    name: str
    crystals: int
    rejected: int
    seconds: float


@dataclass(frozen=True)
class Generation:
    """Generated crystals.

    Attributes:
        prompts: B prompts, what was asked in the words of the language model.
        prior: B crystals as the prior drew them.
        trajectory: from the prior's crystals to the refined ones; of a system without a refiner a
            single frame.
        stages: what each stage did.
        decoding: what a language model wrote, and at what cost.
    """

    prompts: list[str]
    prior: CrystalBatch
    trajectory: Trajectory
    stages: list[Stage] = field(default_factory=list)
    decoding: DecodingFigures = field(default_factory=DecodingFigures)

    @property
    def refined(self) -> CrystalBatch:
        """The refined crystals, the result."""
        return self.trajectory.last
