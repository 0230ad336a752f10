"""The sentences that the model adds to its own prompt, in the order of its format's outline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions, written_value
from flowllm.methods.language_model.candidates import with_compositions
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.decoding.events import Sentence, Token
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache
from flowllm.methods.language_model.rules import rule_for
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.seeds import Stream, key
from flowllm.systems.events import Event, Rejected
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.formats.base import TextFormat
from flowllm.text.outline import OUTLINE_STATES
from flowllm.text.prompts import REQUEST, add_sentence, prompt_of, with_sentence
from flowllm.text.token_table import PromptTable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STREAMS = {"composition": Stream.COMPOSITION, "space_group": Stream.SPACE_GROUP}
OUTLINE_TRIES = 10  # draws of a composition, the last one held to the number of atoms


@dataclass(frozen=True)
class OutlineWriter:
    """Completes prompts with the sentences that they leave open.

    A prompt that asks for a space group and leaves the composition open gets one that is chosen
    among several (`language_model.candidates`), of which only the sentence is reported.

    A composition is drawn again if it has not the number of atoms asked for, and is held to it only
    in the last draw: held to it at once, a composition that went astray would be filled up with
    whatever elements come last in the order.

    Attributes:
        model: a compact model.
        tokenizer: its tokenizer.
        text_format: in which it writes.
        settings: how to draw.
        watch: receives tokens, sentences and rejected draws.
        pool: elements of compositions that are left open; None for all.
        prefixes: where the sentences are kept for what is written behind them.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    text_format: TextFormat
    settings: SamplingSettings
    watch: Watch = UNWATCHED
    pool: tuple[str, ...] | None = None
    prefixes: PrefixCache | None = None

    def complete(
        self,
        asked: Sequence[Conditions],
        seeds: Sequence[int],
        names: Sequence[str] | None = None,
    ) -> list[Conditions]:
        """The conditions with completed prompts, and what these state.

        Args:
            asked: P conditions, each with the prompt that the model reads.
            seeds: P seeds.
            names: the sentences that may be added; None adds all of the outline.
        """
        outline = self.text_format.outline
        completed = list(asked)
        if "composition" in (outline if names is None else names):
            silent = replace(self, watch=Watch(stop=self.watch.stop))

            def compositions(
                stems: list[Conditions], streams: list[int], groups: list[int] | None
            ) -> list[Conditions]:
                grown = list(stems)
                silent._add(grown, streams, "composition", groups)
                return grown

            completed = with_compositions(
                self.model, self.tokenizer, self.text_format, asked, seeds, compositions
            )
            for index, (before, after) in enumerate(zip(asked, completed, strict=True)):
                if after != before:
                    value = written_value("composition", after.composition)
                    self.watch.event(Sentence(index, "composition", value, prompt_of(after)))
        for name in outline:
            if names is None or name in names:
                self._add(completed, seeds, name)
        return completed

    def _add(
        self,
        completed: list[Conditions],
        seeds: Sequence[int],
        name: str,
        groups: Sequence[int] | None = None,
    ) -> None:
        """Add one sentence to the prompts that leave it open, in place.

        Args:
            completed: P conditions with their prompts.
            seeds: P seeds.
            name: of the sentence.
            groups: P space groups that shall have sites for the compositions.
        """
        table = PromptTable(self.tokenizer, self.text_format.max_atoms)
        outline = self.text_format.outline
        waiting = [i for i, asked in enumerate(completed) if leaves_open(asked, name, outline)]
        for draw in range(OUTLINE_TRIES):
            if not waiting:
                break
            most = self.text_format.max_atoms
            rules = [rule_for(completed[i], most, self.pool) for i in waiting]
            if groups is not None:
                rules = [
                    replace(r, space_group=groups[i]) for r, i in zip(rules, waiting, strict=True)
                ]
            held = draw + 1 == OUTLINE_TRIES
            states = [OUTLINE_STATES[name](table, r if held else r.any_size()) for r in rules]
            stems = [add_sentence(prompt_of(completed[i]), name) for i in waiting]
            streams = [key(STREAMS[name], seeds[i], draw) for i in waiting]
            watch = replace(self.watch, on_finished=None, on_event=self._renamed(waiting, draw))
            ended = _Ended(completed, waiting, rules, name, self.watch)
            settings = self.settings.of_composition() if name == "composition" else self.settings
            decode(
                self.model, self.tokenizer, stems, settings, streams, states,
                watch=watch, part=name, ended=ended, prefixes=self.prefixes,
            )  # fmt: skip
            waiting = [i for i in waiting if getattr(completed[i], name) is None]

    def _renamed(self, waiting: list[int], draw: int) -> Callable[[Event], None] | None:
        """Forward tokens under the positions of the prompts, with their draw number."""
        if self.watch.on_event is None:
            return None
        places = list(waiting)

        def passed(event: Event) -> None:
            if isinstance(event, Token):
                event = replace(event, index=places[event.index], draw=draw)
            self.watch.event(event)

        return passed


@dataclass(frozen=True)
class _Ended:
    """Handle the value of a sentence as it ends: add it to the prompt or reject it.

    Attributes:
        completed: what all prompts state, changed in place.
        waiting: which of them are being completed, by the positions of the values.
        rules: as many rules.
        name: of the sentence.
        watch: receives the outcome.
    """

    completed: list[Conditions]
    waiting: list[int]
    rules: list[CompositionRule]
    name: str
    watch: Watch

    def __call__(self, place: int, value: str | None) -> None:
        row = self.waiting[place]
        if value is None:
            self.watch.event(Rejected(row, 0, self.name, "no end in time"))
            return
        grown = with_sentence(self.completed[row], self.name, value.strip())
        reason = _objection(self.rules[place], grown, value.strip())
        if reason is None:
            self.completed[row] = grown
            self.watch.event(Sentence(row, self.name, value.strip(), prompt_of(grown)))
        else:
            self.watch.event(Rejected(row, 0, self.name, reason))


def leaves_open(asked: Conditions, name: str, outline: Sequence[str]) -> bool:
    """Whether the model may add a sentence of the outline: no later one is present yet."""
    later = outline[outline.index(name) :]
    if any(getattr(asked, other) is not None for other in later):
        return False
    return prompt_of(asked).endswith(REQUEST)


def _objection(rule: CompositionRule, asked: Conditions, value: str) -> str | None:
    """Why a sentence's value is rejected, or None."""
    composition = asked.composition or {}
    if rule.allows(composition):
        return None
    return f"{value} has {sum(composition.values())} atoms instead of {rule.num_atoms}"
