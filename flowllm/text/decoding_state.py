"""The decoding state of a text: which tokens may follow."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule


class DecodingState(Protocol):
    """The state of one text, and which tokens may follow.

    Attributes:
        rule: which compositions the text may have.
    """

    rule: CompositionRule

    @property
    def end(self) -> int:
        """The token that ends the text."""
        ...

    @property
    def longest(self) -> int:
        """The most tokens that the text can have, the end's among them."""
        ...

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next, at least one."""
        ...

    def advance(self, token: int) -> None:
        """Take the next token of the text."""
        ...


@runtime_checkable
class Restartable(DecodingState, Protocol):
    """Optional interface of a state whose text can be redrawn from the middle.

    Attributes:
        room: the shortest contact of the atoms so far over the shortest that is allowed, and 1
            at most: below, no place was left that keeps them apart.
        least: a text with no more room than this is of no use, and is ended at the next token.
        tokens: those that a new draw begins with.
    """

    room: float
    least: float
    tokens: list[int]

    def restarted(self) -> Self | None:
        """A state after these tokens; None if nothing can be redrawn."""
        ...
