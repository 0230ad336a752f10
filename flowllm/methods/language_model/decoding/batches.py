"""Batches of texts of similar length, so that short crystals do not wait for long ones.

They are sorted by the length that they can have, longest first; equal prompts stand together, so
that they are passed over once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowllm.errors import InputError
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.text.decoding_state import DecodingState
from flowllm.text.encoding import encode_prompts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Seed = int | list[int]


@dataclass(frozen=True)
class Batch:
    """Texts that are decoded together.

    Attributes:
        positions: where they stand among all texts.
        prompts: their prompts' tokens, none empty.
        seeds: their seeds.
        states: their states at their beginning, used up by writing; None to write freely.
    """

    positions: list[int]
    prompts: list[list[int]]
    seeds: list[Seed]
    states: list[DecodingState] | None


def in_batches(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    states: Sequence[DecodingState] | None = None,
    lengths: Sequence[int] | None = None,
) -> Iterator[Batch]:
    """The texts sorted by length and cut into batches.

    Args:
        tokenizer: encodes the prompts.
        prompts: P prompts.
        settings: how many stand side by side.
        seeds: P seeds.
        states: P states, or None.
        lengths: P numbers that rise with the lengths expected of the texts; by default the longest
            that the states allow.

    Raises:
        InputError: an empty prompt.
    """
    encoded = encode_prompts(tokenizer, prompts)
    for prompt, ids in zip(prompts, encoded, strict=True):
        if not ids:
            raise InputError(f"the prompt {prompt!r} is empty")
    if lengths is None:
        lengths = [state.longest for state in states] if states else [0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: (-lengths[i], len(encoded[i]), encoded[i]))
    for start in range(0, len(order), settings.batch_size):
        chosen = order[start : start + settings.batch_size]
        yield Batch(
            chosen, [encoded[i] for i in chosen], [seeds[i] for i in chosen],
            [states[i] for i in chosen] if states else None,
        )  # fmt: skip
