"""Texts whose end is redrawn: the beginning, and so the composition, is kept.

A symmetric text has group and orbits first, cell and coordinates last. Where the constraints left
no room between the atoms, the latter are drawn again behind the former; where that does not help,
all behind the composition, with another space group if none is asked for. The composition is never
drawn again: else large and unusual ones would be written less often than the model thinks of them.
Of a text that never has room the roomiest draw is taken.

Where nobody watches, all further draws of a text are made side by side and the first that has room
is taken: the same text as one after the other, by fewer and fuller batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.decoding.events import CRYSTAL
from flowllm.methods.language_model.decoding.first import FirstDraw
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache
from flowllm.methods.language_model.decoding.repeated import RepeatedTokens
from flowllm.methods.language_model.decoding.text_draw import Key, Roomiest, TextDraw
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.seeds import Stream, key
from flowllm.systems.events import Rejected
from flowllm.systems.watch import Watch
from flowllm.text.decoding_state import DecodingState, Restartable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REDRAWS = 4
"""How often cell and coordinates are drawn again behind the same orbits."""
REGROUPS = 3
"""How often space group and orbits are drawn again."""
CROWDED = "atoms too close; cell and coordinates are drawn again"
NO_ROOM = "atoms too close in every draw; the space group is drawn again"

Ended = Callable[[Key, str | None], None]


@dataclass
class Redraws:
    """Decoding of texts with redraws from where the constraints ran out of room.

    Attributes:
        model: a compact model.
        tokenizer: its tokenizer.
        settings: how to draw.
        watch: receives tokens and redraws.
        prefixes: what stays of texts, and the prompts that they are written behind.
        tokens: of texts that are watched.
        roomiest: by position, the best draw of texts that had no room so far.
        roomy: by position, the first draw of group and orbits so far whose text has room.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: SamplingSettings
    watch: Watch
    prefixes: PrefixCache | None = None
    tokens: RepeatedTokens = field(init=False)
    roomiest: dict[int, Roomiest] = field(default_factory=dict)
    roomy: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tokens = RepeatedTokens(self.watch)

    def rounds(self, most: int) -> list[list[int]]:
        """Which draws are made together: the first alone, then all others or each alone.

        Args:
            most: draws after the first.
        """
        later = list(range(1, most + 1))
        return [[0], *([draw] for draw in later)] if self.tokens.watched else [[0], later]

    def decode(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        states: Sequence[DecodingState],
        ended: Ended,
        keys: Sequence[Key],
    ) -> list[Key]:
        """Decode P texts; `ended` is called once for each acceptable one that may be the first.

        Args:
            prompts: P prompts.
            seeds: P seeds.
            states: P states at their beginning.
            ended: called with a text's key and the whole of it; with None for one without an end.
            keys: P keys, those of a watched text one at a time.

        Returns:
            Keys of the texts without room, but for those behind a draw of the same text with room.
        """
        prompt_of = dict(zip(keys, prompts, strict=True))
        seed_of = dict(zip(keys, seeds, strict=True))
        rows = [
            TextDraw(name, 0, prompt, "", seed, state)
            for name, prompt, seed, state in zip(keys, prompts, seeds, states, strict=True)
        ]
        self.tokens.begin(position for position, _ in keys)
        crowded: dict[Key, Restartable] = {}
        for draws in self.rounds(REDRAWS):
            if draws != [0]:
                rows = [
                    TextDraw(
                        name, draw, prompt_of[name], self.tokenizer.decode(crowded[name].tokens),
                        key(Stream.REDRAW, seed_of[name], draw - 1), again,
                    )
                    for name in sorted(crowded)
                    for draw in draws
                    if (again := crowded[name].restarted()) is not None
                ]  # fmt: skip
                for (position, _), state in crowded.items():
                    self.tokens.repeat(position, self.tokens.of(position)[: len(state.tokens)])
            if rows:
                crowded = self._decode(rows, draws, ended)
        return sorted(crowded)

    def _decode(
        self, rows: list[TextDraw], draws: list[int], ended: Ended
    ) -> dict[Key, Restartable]:
        """Decode rows, some draws of each text.

        Returns:
            The state, at its end, of one draw of each text none of whose draws has room.
        """
        crowded: dict[Key, Restartable] = {}
        first: FirstDraw[Key] = FirstDraw(draws, lambda name, _, text: ended(name, text))

        others: dict[int, list[TextDraw]] = {}
        for row in rows:
            others.setdefault(row.key[0], []).append(row)
            if row.key[0] in self.roomiest:
                self._give_up([row], self.roomiest[row.key[0]].room)

        def finished(place: int, text: str | None) -> None:
            row = rows[place]
            position, state = row.key[0], row.restartable
            whole = None if text is None else row.beginning + text
            given_up = state is not None and state.room <= state.least
            later = [other for other in others[position] if other.order > row.order]
            if whole is None or state is None or state.room >= 1 or state.restarted() is None:
                if not given_up:
                    self.roomy[position] = min(row.key[1], self.roomy.get(position, row.key[1]))
                    self._give_up(later, np.inf)
                    first.end(row.key, row.draw, whole, stays=True)
                return
            if not given_up:
                found = Roomiest(state.room, row.order, whole, self.tokens.of(position))
                best = self.roomiest.get(position)
                if best is None or found.before(best):
                    self.roomiest[position] = found
                self._give_up(later, state.room)
            if row.draw < REDRAWS:
                self.watch.event(Rejected(position, 0, CRYSTAL, CROWDED))
            crowded[row.key] = state
            first.end(row.key, row.draw, None, stays=False)

        places = [row.key[0] for row in rows]
        decode(
            self.model, self.tokenizer, [row.prompt + row.beginning for row in rows],
            self.settings, [row.stream for row in rows], [row.state for row in rows],
            watch=self.tokens.watch_of(places), part=CRYSTAL, ended=finished,
            prefixes=self.prefixes,
        )  # fmt: skip
        self.tokens.drawn(places)
        return {
            name: crowded[name]
            for name in first.without()
            if name[1] < self.roomy.get(name[0], REGROUPS + 1)
        }

    def _give_up(self, rows: Sequence[TextDraw], room: float) -> None:
        """End texts as soon as they have no more room than this, unless they are watched."""
        for row in rows if not self.tokens.watched else ():
            if row.restartable is not None:
                row.restartable.least = max(row.restartable.least, room)

    def take_roomiest(self, place: int) -> str:
        """Take the draw with the most room; its tokens are reported as a new draw.

        Args:
            place: position of a text that had no room in any draw.
        """
        best = self.roomiest[place]
        self.tokens.repeat(place, best.tokens)
        return best.text
