"""Settings of the runs that make crystals; kept apart from the code that needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import read_elements
from flowllm.conditions.request import Request
from flowllm.crystals.elements import MP20_ELEMENTS
from flowllm.errors import InputError
from flowllm.settings import setting
from flowllm.systems.sampling import DEFAULT_NUM, check_num

PART_SIZE = 256  # crystals that are finished, and kept, together


def sites_of(text: str) -> tuple[int, ...]:
    """Numbers of sites, separated by commas.

    Raises:
        InputError: something else.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"--sites takes numbers as in 3,4, not {text!r}") from None


@dataclass(frozen=True)
class GenerateSettings:
    """Settings of a generation run.

    Attributes:
        num: accepted crystals.
        request: what they shall be.
        sampling: how the prior draws; None takes its defaults.
        refinement: how the refiner works; None takes its defaults.
        seed: random seed; the same seed gives the same crystals.
        targets: data set for crystal structure prediction; mp_20, or a folder of "flowllm data".
            The composition of each of its crystals is requested, under its id, and nothing else.
        split: split of the targets; use val for choices, so that test stays untouched.
        part_size: crystals that are finished, and kept, together.

    Raises:
        InputError: a count below 1, or a negative seed.
    """

    num: int = setting(DEFAULT_NUM, option=False)
    request: Request = field(default_factory=Request)
    sampling: Any = setting(None, part="prior")
    refinement: Any = setting(None, part="refiner")
    seed: int = 0
    targets: str = ""
    split: Literal["test", "val"] = "test"
    part_size: int = setting(PART_SIZE, option=False)

    def __post_init__(self) -> None:
        check_num(self.num, self.seed)
        if self.part_size < 1:
            raise InputError(f"part_size must be at least 1, not {self.part_size}")


@dataclass(frozen=True)
class InfillSettings:
    """Settings of infilling; exactly one of `sites`, `element` and `keep` is given.

    Attributes:
        sites: sites to mask, as in 3,4; counted from 1 in the order of the file as written. A site
            of a CIF with symmetry stands for all its atoms in the cell.
        element: or mask all sites of this element.
        keep: or keep this many atoms and complete the crystal; the least electronegative first. A
            model of symmetric texts keeps the space group and whole orbits.
        num: number of proposals to refine and keep; or of completions.
        candidates: choose only from these, as in Li,Na,K.
        allow_present: also propose elements of the other sites.
        conditions: what a completed crystal shall be.
        sampling: how the prior draws, for completion; None takes its defaults.
        refinement: how the refiner works; None takes its defaults.
        seed: random seed of completion.

    Raises:
        InputError: nothing, or more than one thing, is to be filled in.
    """

    sites: tuple[int, ...] | None = setting(None, type=str, read=sites_of)
    element: str | None = None
    keep: int | None = None
    num: int = 10
    candidates: tuple[str, ...] = setting(
        MP20_ELEMENTS, type=str, read=read_elements, option="elements"
    )
    allow_present: bool = False
    conditions: Conditions = setting(factory=Conditions, only=("formula", "num_atoms"))
    sampling: Any = setting(None, part="prior")
    refinement: Any = setting(None, part="refiner")
    seed: int = 0

    def __post_init__(self) -> None:
        check_num(self.num, self.seed)
        if sum(x is not None for x in (self.sites, self.element, self.keep)) != 1:
            raise InputError("say what to fill in: sites, an element, or how many atoms to keep")
