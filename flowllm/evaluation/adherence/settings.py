"""What is measured of a system's adherence."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowllm.errors import InputError
from flowllm.evaluation.adherence.kinds import DEFAULT_KINDS, names_of
from flowllm.methods.flow.refiner import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.systems.sampling import check_num

MODES = ("without", "with")  # decoding constraints
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class AdherenceSettings:
    """What is measured.

    Attributes:
        model: a folder with weights, or the name of a model that ships with the package.
        data: the data whose crystals' conditions are asked for.
        split: the split they are of; "val" for choices, so that "test" stays untouched.
        kinds: conditions that are asked for together, see `names_of`.
        num: prompts of each kind, one sample each.
        modes: with decoding constraints, without, or both.
        sampling: how the language model draws.
        refinement: how the flow is integrated.
        relax_num: crystals of each kind with an energy that are relaxed, too.
        seed: of everything random.

    Raises:
        InputError: no such kind or split, or a number out of its range.
    """

    model: str = "mp20-compact"
    data: str = "mp_20"
    split: str = "test"
    kinds: tuple[str, ...] = DEFAULT_KINDS
    num: int = 1000
    modes: tuple[str, ...] = MODES
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    refinement: RefineSettings = field(default_factory=RefineSettings)
    relax_num: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_num(self.num, self.seed)
        if not self.kinds:
            raise InputError("no kind of prompt is named")
        for kind in self.kinds:
            names_of(kind)
        if self.split not in SPLITS:
            raise InputError(f"no split {self.split!r}; there are {', '.join(SPLITS)}")
        if not self.modes or not set(self.modes) <= set(MODES):
            raise InputError(f"modes {self.modes} are not of {', '.join(MODES)}")
        if self.relax_num < 0:
            raise InputError(f"relax_num must be at least 0, not {self.relax_num}")
