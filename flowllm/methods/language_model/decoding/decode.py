"""Decoding a batch of prompts with a causal language model, with token events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from flowllm.methods.language_model.decoding.batches import Seed, in_batches
from flowllm.methods.language_model.decoding.events import CRYSTAL, Alternative, Token
from flowllm.methods.language_model.decoding.loop import Step, write
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.decoding_state import DecodingState

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    states: Sequence[DecodingState] | None = None,
    *,
    watch: Watch = UNWATCHED,
    part: str = CRYSTAL,
    ended: Callable[[int, str | None], None] | None = None,
    lengths: Sequence[int] | None = None,
    prefixes: PrefixCache | None = None,
) -> list[str | None]:
    """One text per prompt; None if it did not end in time.

    Each text has a seed of its own: what it says does not depend on which others are written
    beside it (to within the rounding of a batched matrix product).

    Args:
        model: any causal language model.
        tokenizer: its tokenizer; the compact one where `states` are given.
        prompts: P prompts.
        settings: how to draw.
        seeds: P seeds.
        states: P states at their beginning that constrain the decoding, and are used up by it; or
            None to let the model write freely.
        watch: its step comes before each token; it gets the tokens if it asks for alternatives.
        part: named in the tokens.
        ended: called with the position of a prompt and its text, as soon as it is there; with None
            for one without an end.
        lengths: P numbers that rise with the lengths expected of the texts, so that like ones are
            written together; by default from the states.
        prefixes: texts that prompts may begin with, and to which what is written is added.

    Raises:
        InputError: an empty prompt.
        Stopped: of `watch.step`.
    """
    model.eval()
    results: list[str | None] = [None] * len(prompts)
    reported = watch.on_event is not None and watch.alternatives > 0
    for batch in in_batches(tokenizer, prompts, settings, seeds, states, lengths):
        end = batch.states[0].end if batch.states else tokenizer.eos_token_id
        unfinished = dict.fromkeys(batch.positions)
        for step in write(model, tokenizer, batch, settings, watch.step, prefixes):
            found = _alternatives(step, tokenizer, watch.alternatives) if reported else None
            for row, place in enumerate(step.rows.tolist() if found or step.ended else ()):
                position = batch.positions[place]
                if found is not None:
                    drawn, others = found[row]
                    last = int(step.draw.tokens[row]) == end
                    watch.event(
                        Token(
                            position, 0, part, 0, drawn.text, drawn.probability, drawn.raw, others,
                            last,
                        )
                    )  # fmt: skip
                if place in step.ended:
                    del unfinished[position]
                    tokens = step.ended[place]
                    results[position] = tokenizer.decode(tokens, skip_special_tokens=True)
                    if ended is not None:
                        ended(position, results[position])
        if ended is not None:
            for position in unfinished:
                ended(position, None)
    return results


@torch.inference_mode()
def _alternatives(
    step: Step, tokenizer: PreTrainedTokenizerBase, count: int
) -> list[tuple[Alternative, tuple[Alternative, ...]]]:
    """The drawn token of each text, and the likeliest allowed alternatives."""
    drawn, logits = step.draw, step.logits
    best = drawn.choices.gather(1, drawn.places[:, :count])
    allowed = drawn.allowed.gather(1, drawn.places[:, :count])
    normal = torch.logsumexp(logits, -1, keepdim=True)
    raw = (logits.gather(1, torch.cat([drawn.tokens[:, None], best], 1)) - normal).exp()
    own = (drawn.probabilities * (drawn.places == drawn.place[:, None])).sum(-1)
    found = []
    for row, token in enumerate(drawn.tokens.tolist()):
        others = [
            Alternative(tokenizer.decode([t]), p, r)
            for t, p, r, there in zip(
                best[row].tolist(), drawn.probabilities[row, :count].tolist(),
                raw[row, 1:].tolist(), allowed[row].tolist(), strict=True,
            )
            if there
        ]  # fmt: skip
        chosen = Alternative(tokenizer.decode([token]), float(own[row]), float(raw[row, 0]))
        found.append((chosen, tuple(others)))
    return found
