"""Texts whose end is drawn again: what was written first stays, as the composition does.

A symmetric text has group and orbits first, cell and coordinates last. Where the constraints left
no room between the atoms, the latter are drawn again behind the former; where that does not help,
all behind the composition, with another space group if none is asked for. The composition is never
drawn again: else large and unusual ones would be written less often than the model thinks of them.
Of a text that never has room the roomiest draw is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.decoding.events import CRYSTAL, Token
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.seeds import Stream, key
from flowllm.systems.events import Event, Rejected
from flowllm.systems.watch import Watch
from flowllm.text.decoding_state import DecodingState, Restartable

REDRAWS = 4
"""How often cell and coordinates are drawn again behind the same orbits."""
REGROUPS = 3
"""How often space group and orbits are drawn again."""
CROWDED = "atoms too close; cell and coordinates are drawn again"
NO_ROOM = "atoms too close in every draw; the space group is drawn again"

Ended = Callable[[int, str | None], None]
Again = tuple[int, str, Restartable]
"""Position of a text, what stays of it, and the state behind that."""


@dataclass(frozen=True)
class Roomiest:
    """The draw whose atoms had the most room.

    Attributes:
        room: the shortest contact over the shortest allowed.
        text: the whole of it.
        tokens: as they were reported; none where nobody watches.
    """

    room: float
    text: str
    tokens: tuple[Token, ...]


@dataclass
class Redraws:
    """Texts that are decoded, and decoded again from where their constraints ran out of room.

    Attributes:
        model: a compact model.
        tokenizer: its tokenizer.
        settings: how to draw.
        watch: told of tokens and of what is drawn again.
        kept: tokens of the last draw of each text.
        draws: how often each text has been drawn so far, which numbers its tokens.
        roomiest: by position, the best draw of texts that had no room so far.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: SamplingSettings
    watch: Watch
    kept: dict[int, list[Token]] = field(default_factory=dict)
    draws: dict[int, int] = field(default_factory=dict)
    roomiest: dict[int, Roomiest] = field(default_factory=dict)

    def decode(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        states: Sequence[DecodingState],
        ended: Ended,
        positions: Sequence[int] | None = None,
    ) -> list[int]:
        """Decode P texts; `ended` is called once for each that has room.

        Args:
            prompts: P prompts.
            seeds: P seeds.
            states: P states at their beginning.
            ended: called with a text's position and the whole of it; with None for one without an
                end.
            positions: P names of the texts; by default 0 to P - 1.

        Returns:
            Positions of the texts without room.
        """
        places = list(range(len(prompts)) if positions is None else positions)
        prompt_of = dict(zip(places, prompts, strict=True))
        seed_of = dict(zip(places, seeds, strict=True))
        given_up: list[int] = []
        beginnings = [""] * len(prompts)
        streams: list[int | list[int]] = list(seeds)
        current = list(states)
        for place in places:
            self.kept[place] = []
        for draw in range(REDRAWS + 1):
            again: list[Again] = []

            def finished(
                row: int,
                text: str | None,
                draw: int = draw,
                places: list[int] = places,
                beginnings: list[str] = beginnings,
                current: list[DecodingState] = current,
                again: list[Again] = again,
            ) -> None:
                place, state = places[row], current[row]
                restarted, room = _restarted(state)
                if restarted is None or text is None:
                    ended(place, None if text is None else beginnings[row] + text)
                    return
                best = self.roomiest.get(place)
                if best is None or room > best.room:
                    tokens = tuple(self.kept[place])
                    self.roomiest[place] = Roomiest(room, beginnings[row] + text, tokens)
                if draw == REDRAWS:
                    given_up.append(place)
                else:
                    self.watch.event(Rejected(place, 0, CRYSTAL, CROWDED))
                    again.append((place, self.tokenizer.decode(restarted.tokens), restarted))

            told = replace(self.watch, on_finished=None)
            if self.watch.on_event is not None:
                told = replace(told, on_event=self._passed(places))
            decode(
                self.model, self.tokenizer,
                [prompt_of[p] + b for p, b in zip(places, beginnings, strict=True)],
                self.settings, streams, current, watch=told, part=CRYSTAL, ended=finished,
            )  # fmt: skip
            for place in places:
                self.draws[place] = self.draws.get(place, 0) + 1
            if not again:
                break
            again.sort(key=lambda row: row[0])
            places, beginnings = [p for p, _, _ in again], [b for _, b, _ in again]
            current = [state for _, _, state in again]
            streams = [key(Stream.REDRAW, seed_of[p], draw) for p in places]
            for place, _, state in again:
                self._repeat(place, self.kept[place][: len(state.tokens)])
        return sorted(given_up)

    def take_roomiest(self, place: int) -> str:
        """The text of the draw with the most room; its tokens are reported as those of a new draw.

        Args:
            place: position of a text that had no room in any draw.
        """
        best = self.roomiest[place]
        self._repeat(place, best.tokens)
        return best.text

    def _passed(self, places: list[int]) -> Callable[[Event], None]:
        """Passes tokens on under the positions of the prompts and with their draw."""

        def passed(event: Event) -> None:
            if isinstance(event, Token):
                place = places[event.index]
                event = replace(event, index=place, draw=self.draws.get(place, 0))
                self.kept[place].append(event)
            self.watch.event(event)

        return passed

    def _repeat(self, place: int, tokens: Sequence[Token]) -> None:
        """Report tokens that stay once more, as those of a new draw."""
        self.kept[place] = [replace(token, draw=self.draws[place]) for token in tokens]
        for token in self.kept[place]:
            self.watch.event(token)


def _restarted(state: DecodingState) -> tuple[Restartable | None, float]:
    """The state behind what stays, of a text whose atoms had no room, and the room that they had.

    None for any other text.
    """
    if isinstance(state, Restartable) and state.room < 1:
        return state.restarted(), state.room
    return None, 1.0
