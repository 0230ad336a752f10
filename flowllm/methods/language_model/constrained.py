"""Constrained sampling of texts, with redraws where atoms have no room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from flowllm.conditions.conditions import Conditions
from flowllm.methods.language_model.decoding.events import CRYSTAL, Token
from flowllm.methods.language_model.decoding.first import FirstDraw
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache
from flowllm.methods.language_model.decoding.text_draw import Key
from flowllm.methods.language_model.outline import OUTLINE_TRIES
from flowllm.methods.language_model.redraw import NO_ROOM, REGROUPS, Redraws
from flowllm.methods.language_model.rules import rule_for
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.seeds import Stream, child_seed
from flowllm.systems.events import Event, Rejected
from flowllm.systems.watch import Watch
from flowllm.text.formats.base import TextFormat
from flowllm.text.prompts import prompt_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Completing(Protocol):
    """The part of a prior needed here: its model, its format, and prompt completion."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    format: TextFormat
    pool: tuple[str, ...] | None

    def complete(
        self,
        asked: Sequence[Conditions],
        settings: SamplingSettings,
        seeds: Sequence[int],
        names: Sequence[str] | None = None,
        watch: Watch = ...,
        prefixes: PrefixCache | None = None,
    ) -> list[Conditions]:
        """The conditions with the sentences that the model adds."""
        ...


def draw_constrained(
    prior: Completing,
    wanted: list[Conditions],
    settings: SamplingSettings,
    seeds: Sequence[int],
    watch: Watch,
    ended: Callable[[int, str | None], None],
) -> None:
    """Draw one text for each of P conditions, redrawing those without room (`redraw`).

    Args:
        prior: what draws.
        wanted: P conditions as the prior reads them; they are completed in place.
        settings: how to draw.
        seeds: P seeds.
        watch: receives tokens, sentences and redraws.
        ended: called once for each text, with its position.
    """
    prefixes = PrefixCache()
    redraws = Redraws(prior.model, prior.tokenizer, settings, watch, prefixes)
    wanted[:] = prior.complete(wanted, settings, seeds, ("composition",), watch, prefixes)
    composed, waiting = list(wanted), list(range(len(wanted)))
    for draws in redraws.rounds(REGROUPS):
        keys = [(position, draw) for position in waiting for draw in draws]
        if not keys:
            return
        streams = [
            child_seed(Stream.REGROUP, seeds[position], draw) if draw else seeds[position]
            for position, draw in keys
        ]
        passed = replace(watch, on_event=_under(watch.on_event, waiting, draws[0]))
        heads = [composed[position] for position, _ in keys]
        chosen = dict(
            zip(keys, prior.complete(heads, settings, streams, None, passed, prefixes), strict=True)
        )
        rules = [rule_for(each, prior.format.max_atoms, prior.pool) for each in chosen.values()]
        asked = list(chosen.values())
        states = prior.format.states(prior.tokenizer, asked, rules, settings.overlap)

        def settled(
            position: int, draw: int, text: str | None, chosen: dict[Key, Conditions] = chosen
        ) -> None:
            wanted[position] = chosen[position, draw]
            ended(position, text)

        first: FirstDraw[int] = FirstDraw(draws, settled)

        def roomy(key: Key, text: str | None, first: FirstDraw[int] = first) -> None:
            first.end(*key, text, stays=True)

        prompts = [prompt_of(each) for each in asked]
        for key in redraws.decode(prompts, streams, states, roomy, keys):
            first.end(*key, None, stays=False)
        waiting = sorted(first.without())
        for position in waiting:
            wanted[position] = chosen[position, draws[-1]]
            if draws[-1] < REGROUPS:
                watch.event(Rejected(position, 0, CRYSTAL, NO_ROOM))
    for position in waiting:
        ended(position, redraws.take_roomiest(position))


def _under(
    told: Callable[[Event], None] | None, places: Sequence[int], draw: int
) -> Callable[[Event], None] | None:
    """Forward events under the positions of all conditions, with a new draw number each time.

    Args:
        told: gets them.
        places: positions of the conditions.
        draw: how often the sentences of these conditions have been drawn before.
    """
    if told is None:
        return None
    names = list(places)

    def passed(event: Event) -> None:
        event = replace(event, index=names[event.index])
        if isinstance(event, Token):
            event = replace(event, draw=event.draw + draw * OUTLINE_TRIES)
        told(event)

    return passed
