"""Settings of an adherence measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from flowllm.conditions.conditions import KINDS
from flowllm.errors import InputError
from flowllm.settings import setting
from flowllm.systems.sampling import check_num

ALL = "all"
DEFAULT_KINDS = (
    "formula", "composition", "elements", "num-atoms", "space-group", "formula+space-group",
    "formation-energy", "e-above-hull", "band-gap", ALL,
)  # fmt: skip
MODES = ("without", "with")  # decoding constraints
SPLITS = ("train", "val", "test")


def names_of(kind: str) -> tuple[str, ...]:
    """The conditions of a kind: one, several joined as in "formula+space-group", or "all".

    Raises:
        InputError: a condition that does not exist, or one twice.
    """
    if kind == ALL:
        return tuple(KINDS)
    names = tuple(word.strip().replace("-", "_") for word in kind.split("+"))
    for name in names:
        if name not in KINDS:
            known = ", ".join(n.replace("_", "-") for n in KINDS)
            raise InputError(
                f"unknown condition {name.replace('_', '-')!r}; choose from {known}, {ALL}"
            )
    if len(set(names)) < len(names):
        raise InputError(f"{kind!r} names a condition twice")
    return names


def modes_of(constraints: str) -> tuple[str, ...]:
    """The modes that the command line calls "both", "with" or "without"."""
    return MODES if constraints == "both" else (constraints,)


def kinds_of(text: str) -> tuple[str, ...]:
    """Kinds of prompts, separated by commas."""
    return tuple(word.strip() for word in text.split(","))


@dataclass(frozen=True)
class AdherenceSettings:
    """Settings of an adherence measurement.

    Attributes:
        model: folder or name of a model; a name is that of one that ships with the package.
        data: data set: mp_20, or a folder that "flowllm data" wrote.
        split: split whose conditions are requested; use "val" for choices, so that "test" stays
            untouched.
        kinds: what to request, separated by commas: a condition, several joined as in
            formula+space-group, or all of them as in all; the conditions are formula, composition,
            elements, num-atoms, space-group, formation-energy, e-above-hull and band-gap; default
            each alone, formula+space-group, and all.
        num: prompts of each kind; one sample each.
        modes: with or without constrained decoding; the constraints hold the model to formula,
            elements and number of atoms. Default both.
        sampling: how the prior draws; None takes its defaults.
        refinement: how the refiner works; None takes its defaults.
        relax_num: crystals of each kind to relax; where an energy is requested, at seconds per
            crystal.
        seed: random seed.

    Raises:
        InputError: no such kind or split, or a number out of its range.
    """

    model: str = "mp20-symmetric"
    data: str = "mp_20"
    split: Literal["train", "val", "test"] = "test"
    kinds: tuple[str, ...] = setting(DEFAULT_KINDS, type=str, read=kinds_of)
    num: int = 1000
    modes: tuple[str, ...] = setting(
        MODES, option="constraints", type=Literal["both", "with", "without"], read=modes_of
    )
    sampling: Any = setting(None, part="prior")
    refinement: Any = setting(None, part="refiner")
    relax_num: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_num(self.num, self.seed)
        if not self.kinds:
            raise InputError("no kind of prompt is given")
        for kind in self.kinds:
            names_of(kind)
        if self.split not in SPLITS:
            raise InputError(f"unknown split {self.split!r}; choose from {', '.join(SPLITS)}")
        if not self.modes or not set(self.modes) <= set(MODES):
            raise InputError(f"modes must be among {', '.join(MODES)}, not {self.modes}")
        if self.relax_num < 0:
            raise InputError(f"relax_num must be at least 0, not {self.relax_num}")
