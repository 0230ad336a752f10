"""Events of a running system, as plain data; methods add their own kinds."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory


@dataclass(frozen=True)
class Event:
    """An event of one crystal.

    Attributes:
        index: of the crystal in its run. A part names it by its position in the batch it was given.
    """

    index: int


@dataclass(frozen=True)
class Asked(Event):
    """The request for a crystal: its conditions, and the prompt of a language model."""

    conditions: Conditions
    prompt: str


@dataclass(frozen=True)
class Attempted(Event):
    """An event in one attempt at a crystal.

    Attributes:
        attempt: counted from 0.
    """

    attempt: int


@dataclass(frozen=True)
class Rejected(Attempted):
    """An attempt that failed: the part of the text, or of the crystal, and why."""

    part: str
    reason: str


@dataclass(frozen=True)
class Drawn(Attempted):
    """A crystal as the prior drew it.

    Attributes:
        text: of the crystal; "" where there is none.
        crystal: a batch of one.
        source: where the prior took it from, if it has several sources, as in "a template".
    """

    text: str
    crystal: CrystalBatch
    source: str = ""


@dataclass(frozen=True)
class Refining:
    """All crystals are drawn and refinement begins: how many."""

    crystals: int


@dataclass(frozen=True)
class Refined(Event):
    """A finished crystal: as the prior drew it, and its trajectory to the refined one."""

    prior: CrystalBatch
    trajectory: Trajectory
