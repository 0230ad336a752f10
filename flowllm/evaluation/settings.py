"""Settings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flowllm.errors import InputError
from flowllm.metrics.composition import SmactSettings
from flowllm.metrics.matching import MatchSettings
from flowllm.relax.settings import RelaxSettings
from flowllm.settings import check_seed, setting

PAPERS_MATCHER = MatchSettings(stol=0.3, angle_tol=5.0, ltol=0.2)
"""StructureMatcher's defaults, by which the papers decide whether two crystals are the same."""


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of an evaluation: what is computed, and by which convention.

    Attributes:
        composition: of the composition test.
        same: when two crystals count as one: for uniqueness, novelty and the relaxed state.
        hull: hull of "flowllm hull convert"; by default that of the reference.
        thresholds: E_hull in eV/atom below which S.U.N. is counted.
        known: splits that count as known: their crystals are not novel; "train" or "train+val".
        relaxation: how crystals are relaxed.
        relax_num: relax a random sample of this size; 0 relaxes all.
        prediction: tolerances of crystal structure prediction.
        seconds: seconds per crystal and stage, at most; relaxation has its own limit.
        seed: random seed of samples and intervals.

    Raises:
        InputError: a value that cannot be.
    """

    composition: SmactSettings = setting(factory=SmactSettings, option=False)
    same: MatchSettings = setting(PAPERS_MATCHER, option=False)
    hull: str = ""
    thresholds: tuple[float, ...] = setting((0.0, 0.08, 0.1), option=False)
    known: Literal["train", "train+val"] = "train"
    relaxation: RelaxSettings = field(default_factory=RelaxSettings)
    relax_num: int = 0
    prediction: MatchSettings = setting(factory=MatchSettings, option=False)
    seconds: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.relax_num < 0:
            raise InputError(f"relax_num must be at least 0, not {self.relax_num}")
        if not self.seconds > 0:
            raise InputError(f"seconds must be positive, not {self.seconds:g}")
        check_seed(self.seed)
        if self.known not in ("train", "train+val"):
            raise InputError(f"known must be train or train+val, not {self.known}")
        if not self.thresholds:
            raise InputError("at least one threshold of the energy above the hull is needed")
