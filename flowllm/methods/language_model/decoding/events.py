"""Events of a language model besides those of every prior: tokens and sentences."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.systems.events import Attempted, Event

CRYSTAL = "crystal"  # the part of the text that follows the sentences that the model adds


@dataclass(frozen=True)
class Alternative:
    """An alternative token at this position.

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
class Token(Attempted):
    """One token, just drawn.

    Attributes:
        part: "composition" or "space_group", whose sentence it belongs to, or "crystal".
        draw: the draw of this part, a number that rises: a composition of the wrong size is drawn
            again, as are a crystal and its space group where atoms have no room.
        text: as written, with the separator before it.
        probability: with which it was drawn, as in `Alternative`.
        raw: the model's own probability.
        alternatives: the likeliest tokens that the constraints allow, itself perhaps among them.
        end: whether it ends its part.
    """

    part: str
    draw: int
    text: str
    probability: float
    raw: float
    alternatives: tuple[Alternative, ...]
    end: bool = False


@dataclass(frozen=True)
class Sentence(Event):
    """A sentence that the model added to the prompt: its condition, its value, the prompt now."""

    name: str
    value: str
    prompt: str
