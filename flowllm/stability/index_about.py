"""What a novelty index was made by, and how far it agrees with StructureMatcher."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.stability.fingerprint import CUTOFF, NEIGHBOURS
from flowllm.stability.same_formula import SAME


@dataclass(frozen=True)
class Agreement:
    """How far an index agrees with StructureMatcher on one set of crystals.

    Attributes:
        crystals: which crystals, in words.
        n: how many.
        same_formula: how many of them share their reduced formula with an entry. All others are
            novel by either way, so these alone can differ.
        false_novel: novel by the index, known by StructureMatcher.
        false_known: known by the index, novel by StructureMatcher.
    """

    crystals: str
    n: int
    same_formula: int
    false_novel: int
    false_known: int

    @property
    def accuracy(self) -> float:
        """Share of all crystals on which both agree."""
        return 1 - (self.false_novel + self.false_known) / self.n if self.n else float("nan")

    @property
    def accuracy_same_formula(self) -> float:
        """Share of the crystals with a known formula on which both agree."""
        wrong = self.false_novel + self.false_known
        return 1 - wrong / self.same_formula if self.same_formula else float("nan")

    def __str__(self) -> str:
        return (
            f"{self.crystals}: agrees with StructureMatcher on {self.accuracy:.2%} of {self.n:,}, "
            f"and on {self.accuracy_same_formula:.1%} of the {self.same_formula:,} whose formula "
            f"is known ({self.false_novel} called novel and {self.false_known} called known "
            "wrongly)"
        )


@dataclass(frozen=True)
class IndexSettings:
    """What an index was made by.

    Attributes:
        name: of the training set.
        source: of the training set, with its licence.
        threshold: largest difference of two fingerprints, over (V/n)^(1/3), up to which a crystal
            is known.
        chosen_on: the crystals that the threshold was chosen on.
        neighbours: of the fingerprint.
        cutoff: of the fingerprint, over (V/n)^(1/3).
        match: tolerances of the StructureMatcher that it stands for.
    """

    name: str = "unnamed"
    source: str = "unknown"
    threshold: float = 0.25
    chosen_on: str = ""
    neighbours: int = NEIGHBOURS
    cutoff: float = CUTOFF
    match: MatchSettings = SAME

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise InputError(f"threshold must be at least 0, not {self.threshold}")
        if self.neighbours < 1 or not self.cutoff > 0:
            raise InputError("a fingerprint needs a neighbour and a cutoff above 0")
