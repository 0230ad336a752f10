"""One of several draws of a text, and how much room its atoms have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from flowllm.methods.language_model.decoding.events import Token
from flowllm.text.decoding_state import DecodingState, Restartable

SAME_ROOM = 9  # decimals by which two draws have the same room

Key = tuple[int, int]
"""Position of a text, and how often its group and orbits were drawn before."""


@dataclass(frozen=True)
class Roomiest:
    """The draw whose atoms had the most room.

    Attributes:
        room: the shortest contact over the shortest allowed.
        order: which draw of group and orbits, and of cell and coordinates behind them, it was.
        text: the whole of it.
        tokens: as they were reported; none where nobody watches.
    """

    room: float
    order: tuple[int, int]
    text: str
    tokens: tuple[Token, ...]

    def before(self, other: Roomiest) -> bool:
        """Whether it has more room, or equal room and was drawn earlier."""
        own, others = round(self.room, SAME_ROOM), round(other.room, SAME_ROOM)
        return own > others or (own == others and self.order < other.order)


@dataclass(frozen=True)
class TextDraw:
    """One text in a batch.

    Attributes:
        key: of the text.
        draw: how often cell and coordinates were drawn before.
        prompt: that it is written behind.
        beginning: what stays of it.
        stream: from which it is drawn.
        state: behind the beginning.
    """

    key: Key
    draw: int
    prompt: str
    beginning: str
    stream: int | list[int]
    state: DecodingState

    @property
    def order(self) -> tuple[int, int]:
        """Its index among the draws at this position."""
        return self.key[1], self.draw

    @cached_property
    def restartable(self) -> Restartable | None:
        """The state, if its text can be redrawn from the middle."""
        return self.state if isinstance(self.state, Restartable) else None
