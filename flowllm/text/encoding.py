"""Prompts and crystals in the tokens of any tokenizer: fast or slow, with or without special ones.

A model learns and writes a text as the same tokens: the prompt whole, behind what its tokenizer
sets before any text (LLaMA's beginning-of-text token), the crystal as it is cut behind a prompt.
What a tokenizer would set behind a text is left away, since the text goes on there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowllm.text.prompts import REQUEST

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def beginning(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that a tokenizer sets before any text; none for most."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return list(whole[:start])
    return []


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """The tokens of P prompts, to be continued."""
    if not prompts:
        return []
    first = beginning(tokenizer)
    encoded = tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
    return [[*first, *ids] for ids in encoded]


def encode_behind(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of P crystals' texts as they follow a prompt, without an end.

    A tokenizer of the sentencepiece family marks the beginning of what it reads, and would do so
    in the middle of an example if it read the crystal alone.
    """
    if not texts:
        return []
    head = tokenizer(REQUEST, add_special_tokens=False)["input_ids"]
    joint = tokenizer([REQUEST + text for text in texts], add_special_tokens=False)["input_ids"]
    if all(ids[: len(head)] == head for ids in joint):
        return [list(ids[len(head) :]) for ids in joint]
    alone = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [list(ids) for ids in alone]
