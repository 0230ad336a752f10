"""What can be told while a language model writes crystals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowllm.crystals.batch import CrystalBatch

CRYSTAL = "crystal"  # the part of the writing that follows the sentences of the outline


@dataclass(frozen=True)
class Alternative:
    """A token that could stand here.

    Attributes:
        text: as it would be written, with the separator before it.
        probability: with which it is drawn, after constraints, temperature and nucleus; 0 if it
            lies outside the nucleus.
        raw: the model's own probability, among all its tokens and at temperature 1.
    """

    text: str
    probability: float
    raw: float


@dataclass(frozen=True)
class Token:
    """One token, just drawn.

    Attributes:
        index: of the crystal in its run.
        attempt: the try at this crystal, from 0.
        part: "composition" or "space_group", whose sentence it belongs to, or "crystal".
        draw: the try at this part, from 0: a composition of the wrong size is drawn again.
        text: as written, with the separator before it.
        probability: with which it was drawn, as in `Alternative`.
        raw: the model's own probability.
        alternatives: the likeliest tokens that the constraints allow, itself perhaps among them.
        end: whether it ends its part.
    """

    index: int
    attempt: int
    part: str
    draw: int
    text: str
    probability: float
    raw: float
    alternatives: tuple[Alternative, ...]
    end: bool = False


@dataclass(frozen=True)
class Sentence:
    """A sentence that the model wrote into the prompt: its condition, its value, the prompt now."""

    index: int
    name: str
    value: str
    prompt: str


@dataclass(frozen=True)
class Rejected:
    """A try that came to nothing: the part that failed, and why."""

    index: int
    attempt: int
    part: str
    reason: str


@dataclass(frozen=True)
class Drawn:
    """A crystal as the model wrote it, with noise if that was set: a batch of one, and its text."""

    index: int
    attempt: int
    text: str
    crystal: CrystalBatch


LMEvent = Token | Sentence | Rejected | Drawn


@dataclass(frozen=True)
class Watch:
    """What is told of the writing, and how it is stopped.

    Attributes:
        alternatives: tokens told at each place; with 0 no token is told at all.
        check: called before each token; what it raises ends the writing.
    """

    alternatives: int = 8
    check: Callable[[], None] = lambda: None
