"""The sentences that the model writes into its own prompt: composition, then space group."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.errors import InputError
from flowllm.methods.language_model.candidates import with_compositions
from flowllm.methods.language_model.decoding.events import Rejected, Sentence, Token
from flowllm.seeds import Stream, key
from flowllm.text.outline import OUTLINE_STATES, DecodingState
from flowllm.text.prompts import OUTLINE, REQUEST, add_sentence, parse_prompt, value_of
from flowllm.text.token_table import TokenTable

if TYPE_CHECKING:
    from flowllm.methods.language_model.prior import LanguageModelPrior

STREAMS = {"composition": Stream.COMPOSITION, "space_group": Stream.SPACE_GROUP}
OUTLINE_TRIES = 10  # draws of a composition, the last one held to the number of atoms

Writer = Callable[
    [list[str], list[list[int]], list[DecodingState], str], Iterable[Token | tuple[int, str | None]]
]
"""Writes the values of sentences: for stems, seeds, states and the sentence's name it gives tokens,
if they are told, and (position, value), None where no end came."""
Result = TypeVar("Result")


def write_outline(
    prior: LanguageModelPrior,
    prompts: Sequence[str],
    seeds: Sequence[int],
    write: Writer,
    names: Sequence[str] = OUTLINE,
    indices: Sequence[int] | None = None,
    attempt: int = 0,
) -> Generator[Token | Sentence | Rejected, None, list[str]]:
    """Complete prompts by the sentences that they leave open, told as it happens.

    A prompt that asks for a space group and leaves the composition open gets one that is chosen
    among several (`flowllm.methods.language_model.candidates`), of which only the sentence is told.

    A composition is drawn again if it has not the number of atoms asked for, and is held to it only
    in the last try: held to it at once, a composition that went astray would be filled up with
    whatever elements come last in the order.

    Args:
        prior: whose rules hold, and whose tokenizer is used.
        prompts: P prompts.
        seeds: P seeds.
        write: what writes the values.
        names: the sentences that may be added.
        indices: P names for the events; by default the positions of the prompts.
        attempt: named in the events.

    Returns:
        The completed prompts.
    """
    completed, table = list(prompts), TokenTable(prior.tokenizer)
    called = range(len(prompts)) if indices is None else indices
    if "composition" in names:

        def compositions(stems: list[str], streams: list[int]) -> list[str]:
            return result_of(write_outline(prior, stems, streams, write, ("composition",)))

        completed = with_compositions(prior, prompts, seeds, compositions)
        for index, before, after in zip(called, prompts, completed, strict=True):
            if after != before:
                yield Sentence(index, "composition", value_of(after, "composition"), after)
    for name in OUTLINE:
        if name not in names:
            continue
        waiting = [i for i, prompt in enumerate(completed) if leaves_open(prompt, name)]
        for draw in range(OUTLINE_TRIES):
            if not waiting:
                break
            rules = [prior.rule_for(completed[i]) for i in waiting]
            held = draw + 1 == OUTLINE_TRIES
            states = [OUTLINE_STATES[name](table, r if held else r.any_size()) for r in rules]
            stems = [add_sentence(completed[i], name) for i in waiting]
            streams = [key(STREAMS[name], seeds[i], draw) for i in waiting]
            for event in write(stems, streams, states, name):
                if isinstance(event, Token):
                    index = called[waiting[event.index]]
                    yield replace(event, index=index, attempt=attempt, draw=draw)
                    continue
                place, value = event
                row = waiting[place]
                if value is None:
                    yield Rejected(called[row], attempt, name, "no end in time")
                    continue
                grown = add_sentence(completed[row], name, value.strip())
                reason = _objection(rules[place], grown, value.strip())
                if reason is None:
                    completed[row] = grown
                    yield Sentence(called[row], name, value.strip(), grown)
                else:
                    yield Rejected(called[row], attempt, name, reason)
            waiting = [i for i in waiting if leaves_open(completed[i], name)]
    return completed


def leaves_open(prompt: str, name: str) -> bool:
    """Whether the model may add a sentence to a prompt."""
    asked = parse_prompt(prompt)
    if name == "composition" and asked.space_group is not None:
        return False
    return prompt.endswith(REQUEST) and getattr(asked, name) is None


def expected_atoms(prompt: str) -> int:
    """The number of atoms that a prompt asks for, 0 where it says nothing readable of it."""
    try:
        asked = parse_prompt(prompt)
    except InputError:
        return 0
    return sum((asked.composition or {}).values()) or asked.num_atoms or 0


def result_of(generator: Generator[object, None, Result]) -> Result:
    """What a generator returns, its events left aside."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            result: Result = end.value
            return result


def _objection(rule: CompositionRule, prompt: str, value: str) -> str | None:
    """Why a sentence's value cannot stay, or None."""
    composition = parse_prompt(prompt).composition or {}
    if rule.allows(composition):
        return None
    return f"{value} has {sum(composition.values())} atoms instead of {rule.num_atoms}"
