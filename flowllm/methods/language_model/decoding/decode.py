"""Texts from a causal language model: a batch of prompts in, whole texts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.methods.language_model.decoding.loop import Seed, in_batches, write
from flowllm.methods.language_model.decoding.nucleus import nucleus, pick
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.text.outline import DecodingState

__all__ = ["SamplingSettings", "decode", "nucleus", "pick"]


def decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    states: Sequence[DecodingState] | None = None,
    progress: Callable[[int], None] | None = None,
    lengths: Sequence[int] | None = None,
) -> list[str | None]:
    """One text for each prompt, None where no end came in time.

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
        progress: called with the number of texts that have just been finished.
        lengths: P numbers that rise with the lengths expected of the texts, so that like ones are
            written together; by default from the states.

    Raises:
        InputError: an empty prompt.
    """
    model.eval()
    results: list[str | None] = [None] * len(prompts)
    for batch in in_batches(tokenizer, prompts, settings, seeds, states, lengths):
        for step in write(model, tokenizer, batch, settings):
            for place, tokens in step.ended.items():
                text = tokenizer.decode(tokens, skip_special_tokens=True)
                results[batch.positions[place]] = text
            if progress is not None and step.ended:
                progress(len(step.ended))
    return results
