"""What generation gives, and what it needs: a prior that draws, a refiner that moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.methods.flow.refiner import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.systems.decoding_figures import DecodingFigures

Progress = Callable[[str, int, int], None]
"""Called with the stage, how many crystals it has finished, and how many it will."""


class Prior(Protocol):
    """Draws crystals for prompts; what is rejected is missing, ids are positions of prompts."""

    def sample(
        self, prompts: Sequence[str], settings: SamplingSettings, seeds: Sequence[int]
    ) -> CrystalBatch:
        """At most one crystal for each prompt."""
        ...


class Refiner(Protocol):
    """Moves crystals along a learnt flow."""

    def refine(
        self, crystals: CrystalBatch, settings: RefineSettings, seeds: Sequence[int] | None = None
    ) -> Trajectory:
        """Their trajectories; the last frame is the result."""
        ...


@dataclass(frozen=True)
class Stage:
    """What one stage of a run did: crystals that came out, samples rejected, seconds."""

    name: str
    crystals: int
    rejected: int
    seconds: float


@dataclass(frozen=True)
class Generation:
    """Generated crystals.

    Attributes:
        prompts: B prompts.
        prior: B crystals as the prior drew them.
        trajectory: from the prior's crystals to the refined ones.
        stages: what each stage did.
        decoding: what the language model wrote, and at what cost.
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
