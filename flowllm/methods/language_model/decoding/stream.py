"""Texts told token by token, each token with its probability and what could have stood there."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.methods.language_model.decoding.events import Alternative, Token, Watch
from flowllm.methods.language_model.decoding.loop import Seed, Step, in_batches, write
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.text.outline import DecodingState


def tell(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    states: Sequence[DecodingState] | None,
    part: str,
    watch: Watch,
    lengths: Sequence[int] | None = None,
) -> Generator[Token | tuple[int, str | None], None, None]:
    """The texts of `flowllm.methods.language_model.decoding.decode.decode`, as they are written.

    Args:
        model: any causal language model.
        tokenizer: its tokenizer.
        prompts: P prompts.
        settings: how to draw.
        seeds: P seeds.
        states: P states, or None to write freely.
        part: named in the tokens.
        watch: what to tell.
        lengths: as for `decode`.

    Yields:
        Tokens, whose index is the position of the prompt; and (position, text) of each text, None
        where no end came.

    Raises:
        InputError: an empty prompt.
    """
    model.eval()
    for batch in in_batches(tokenizer, prompts, settings, seeds, states, lengths):
        end = batch.states[0].end if batch.states else tokenizer.eos_token_id
        unfinished = dict.fromkeys(batch.positions)
        for step in write(model, tokenizer, batch, settings, watch.check):
            told = _told(step, tokenizer, watch.alternatives) if watch.alternatives else None
            for row, (place, token) in enumerate(
                zip(step.rows.tolist(), step.draw.tokens.tolist(), strict=True)
            ):
                position = batch.positions[place]
                if told is not None:
                    drawn, others = told[row]
                    yield Token(
                        position, 0, part, 0, drawn.text, drawn.probability, drawn.raw, others,
                        token == end,
                    )  # fmt: skip
                if place in step.ended:
                    del unfinished[position]
                    yield position, tokenizer.decode(step.ended[place], skip_special_tokens=True)
        for position in unfinished:
            yield position, None


@torch.inference_mode()
def _told(
    step: Step, tokenizer: PreTrainedTokenizerBase, count: int
) -> list[tuple[Alternative, tuple[Alternative, ...]]]:
    """Of each text what was drawn, and the likeliest tokens that may stand there."""
    drawn, logits = step.draw, step.logits
    best = drawn.choices.gather(1, drawn.places[:, :count])
    allowed = drawn.allowed.gather(1, drawn.places[:, :count])
    normal = torch.logsumexp(logits, -1, keepdim=True)
    raw = (logits.gather(1, torch.cat([drawn.tokens[:, None], best], 1)) - normal).exp()
    own = (drawn.probabilities * (drawn.places == drawn.place[:, None])).sum(-1)
    told = []
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
        told.append((chosen, tuple(others)))
    return told
