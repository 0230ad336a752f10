"""Events of texts whose end is redrawn: the kept tokens are reported again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from flowllm.methods.language_model.decoding.events import Token
from flowllm.systems.events import Event
from flowllm.systems.watch import Watch


@dataclass
class RepeatedTokens:
    """The tokens of watched texts; nothing is stored without a listener.

    Attributes:
        watch: receives the tokens.
        kept: tokens of the last draw of each text, by its position.
        draws: how often each text has been drawn so far, which numbers its tokens.
    """

    watch: Watch
    kept: dict[int, list[Token]] = field(default_factory=dict)
    draws: dict[int, int] = field(default_factory=dict)

    @property
    def watched(self) -> bool:
        """Whether events are reported."""
        return self.watch.on_event is not None

    def begin(self, positions: Iterable[int]) -> None:
        """Register texts at these positions as drawn from the beginning."""
        if self.watched:
            self.kept |= {position: [] for position in positions}

    def of(self, position: int) -> tuple[Token, ...]:
        """The tokens of the last draw of a text."""
        return tuple(self.kept.get(position, ()))

    def watch_of(self, positions: Sequence[int]) -> Watch:
        """The event listener for the texts of one batch, at these positions."""
        told = replace(self.watch, on_finished=None)
        return replace(told, on_event=self._passed(positions)) if self.watched else told

    def drawn(self, positions: Iterable[int]) -> None:
        """Register another draw of these texts."""
        for place in positions if self.watched else ():
            self.draws[place] = self.draws.get(place, 0) + 1

    def repeat(self, position: int, tokens: Sequence[Token]) -> None:
        """Report kept tokens again, as part of a new draw."""
        if not self.watched:
            return
        self.kept[position] = [replace(token, draw=self.draws[position]) for token in tokens]
        for token in self.kept[position]:
            self.watch.event(token)

    def _passed(self, positions: Sequence[int]) -> Callable[[Event], None]:
        """Forward tokens under the positions of the prompts, with their draw number."""

        def passed(event: Event) -> None:
            if isinstance(event, Token):
                place = positions[event.index]
                event = replace(event, index=place, draw=self.draws.get(place, 0))
                self.kept[place].append(event)
            self.watch.event(event)

        return passed
