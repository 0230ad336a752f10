"""Crystals written token by token, for those who want to watch a language model at work.

The same draws as `LanguageModelPrior.sample`: of one seed, prompt and setting both write the same
text. Here every token comes out with its probability and those of the tokens that could have stood
in its place.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from flowllm.methods.language_model.decoding.events import (
    CRYSTAL,
    Alternative,
    Drawn,
    LMEvent,
    Rejected,
    Sentence,
    Token,
    Watch,
)
from flowllm.methods.language_model.decoding.stream import tell
from flowllm.methods.language_model.outline import expected_atoms, write_outline
from flowllm.methods.language_model.prior import LanguageModelPrior, perturb
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.text.constraints import CrystalState
from flowllm.text.outline import DecodingState
from flowllm.text.strings import TextError, parse_text
from flowllm.text.token_table import TokenTable

__all__ = [
    "CRYSTAL",
    "Alternative",
    "Drawn",
    "LMEvent",
    "Rejected",
    "Sentence",
    "Token",
    "Watch",
    "stream_sample",
]


def stream_sample(
    prior: LanguageModelPrior,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[int],
    indices: Sequence[int] | None = None,
    attempt: int = 0,
    watch: Watch | None = None,
) -> Generator[LMEvent, None, None]:
    """What `LanguageModelPrior.sample` does for P prompts, told as it happens.

    A crystal comes out at the token that ends it, or is rejected there.

    Args:
        prior: the language model.
        prompts: P prompts.
        settings: how to draw.
        seeds: P seeds.
        indices: P names for the events; by default the positions of the prompts.
        attempt: named in the events.
        watch: what to tell.
    """
    watch, settings = watch or Watch(), prior.fit(prompts, settings)
    names = list(range(len(prompts))) if indices is None else list(indices)
    states: list[DecodingState] | None = None
    if prior.constrained:

        def write(
            stems: list[str], streams: list[list[int]], begun: list[DecodingState], name: str
        ) -> Iterator[Token | tuple[int, str | None]]:
            return tell(prior.model, prior.tokenizer, stems, settings, streams, begun, name, watch)

        prompts = yield from write_outline(
            prior, prompts, seeds, write, indices=names, attempt=attempt
        )
        table = TokenTable(prior.tokenizer)
        states = [CrystalState(table, prior.rule_for(p), settings.overlap) for p in prompts]
    lengths = None if prior.constrained else [expected_atoms(prompt) for prompt in prompts]
    for event in tell(
        prior.model, prior.tokenizer, prompts, settings, seeds, states, CRYSTAL, watch, lengths
    ):
        if isinstance(event, Token):
            yield replace(event, index=names[event.index], attempt=attempt)
            continue
        place, text = event
        index = names[place]
        if text is None:
            reason = f"no end within {settings.max_new_tokens} tokens"
            yield Rejected(index, attempt, CRYSTAL, reason)
            continue
        try:
            crystal = parse_text(text, str(index))
        except TextError as error:
            yield Rejected(index, attempt, CRYSTAL, str(error))
        else:
            yield Drawn(index, attempt, text, perturb(crystal, settings.noise, seeds[place]))
