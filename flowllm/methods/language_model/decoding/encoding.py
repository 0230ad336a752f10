"""Prompts and crystals in the tokens of any tokenizer: fast or slow, with or without special ones.

A model learns and writes a text as the same tokens: the prompt whole, behind what its tokenizer
sets before any text (LLaMA's beginning-of-text token), the crystal as it is cut behind a prompt.
What a tokenizer would set behind a text is left away, since the text goes on there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowllm.crystals.batch import MAX_ATOMS
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.runs.files import read_json
from flowllm.text.prompts import REQUEST
from flowllm.text.token_table import TokenTable

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

SAMPLE = "3.9 10.2 5.0\n90 90 120\nSr\n0.00 0.25 0.99\nCl\n0.51 0.50 0.67\nO\n0.08 0.43 0.36"


def beginning(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that a tokenizer sets before any text; none for most."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return list(whole[:start])
    return []


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """The tokens of P prompts, to be written on."""
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


def padding(tokenizer: PreTrainedTokenizerBase) -> int:
    """A token for places that nobody reads: the end where a tokenizer has none for padding.

    What is padding says the attention mask, so the token does not matter.
    """
    ids = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(token) for token in ids if token is not None), 0)


def is_compact(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether decoding by this tokenizer can be constrained to crystals."""
    try:
        TokenTable(tokenizer)
    except InputError:
        return False
    return True


def is_large(folder: str | Path) -> bool:
    """Whether a folder holds an adapter, or a model with another than the compact tokenizer.

    What is damaged or not whole is taken for a compact model, which is strict about it.
    """
    place = Path(folder)
    if (place / "adapter_config.json").is_file():
        return True
    if (place / "config.json").is_file() and (place / "model.safetensors.index.json").is_file():
        return True
    if not all((place / name).is_file() for name in ("config.json", "model.safetensors")):
        return False
    try:
        if not (place / "tokenizer.json").is_file():  # of a slow tokenizer, which has a class
            kind = read_json(place / "tokenizer_config.json")["tokenizer_class"]
            return kind not in ("PreTrainedTokenizerFast", "TokenizersBackend")
        added = read_json(place / "tokenizer.json")["added_tokens"]
        return all(token["content"] != REQUEST for token in added)
    except (InputError, KeyError, TypeError):
        return False


def longest_crystal(tokenizer: PreTrainedTokenizerBase) -> int:
    """At most so many tokens has the text of a cell of 20 atoms, its end included.

    A digit, point, blank or line break takes at most one token.
    """
    symbol = max(len(ids) for ids in encode_behind(tokenizer, [f"\n{s}" for s in SYMBOLS[1:]]))
    return len("99.9 99.9 99.9\n119 119 119") + MAX_ATOMS * (symbol + len("\n0.00 0.00 0.00")) + 1


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, vocabulary: int, name: str) -> None:
    """See whether a model can write crystals by its tokenizer.

    Args:
        tokenizer: the tokenizer.
        vocabulary: tokens that the model knows; it is not resized.
        name: of the model, for the message.

    Raises:
        InputError: the tokenizer has no end-of-text token, loses a part of a crystal's text (its
            line breaks, for one), or belongs to a model with more tokens.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(f"{name}: its tokenizer has no end-of-text token")
    ids = encode_behind(tokenizer, [SAMPLE])[0]
    back = tokenizer.decode(ids, skip_special_tokens=True)
    if back != SAMPLE:
        raise InputError(
            f"{name}: its tokenizer cannot write crystals: {SAMPLE[:23]!r} comes back as "
            f"{back[:23]!r}"
        )
    own = len(set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab()))
    # a model may have some rows more, for the sake of round numbers, and never read added tokens
    if max(own - 1, end, *ids) >= vocabulary or len(tokenizer) < 0.9 * vocabulary:
        raise InputError(
            f"{name}: the model has {vocabulary} tokens, its tokenizer {len(tokenizer)}; "
            "they belong to different models"
        )


def context_of(config: PretrainedConfig) -> int | None:
    """The longest text that a model reads, in tokens; None where nothing limits it."""
    longest = getattr(config, "max_position_embeddings", None)
    return longest if isinstance(longest, int) and longest > 0 else None


def check_prompts(
    prompts: Sequence[str], encoded: Sequence[Sequence[int]], context: int | None
) -> None:
    """Refuse prompts behind which nothing can be written.

    Raises:
        InputError: a prompt is empty or fills the model's context; both lengths are named.
    """
    for prompt, ids in zip(prompts, encoded, strict=True):
        if not ids:
            raise InputError(f"the prompt {prompt!r} is empty")
        if context is not None and len(ids) >= context:
            raise InputError(
                f"the prompt {prompt[:60]!r}… has {len(ids)} tokens, and the model reads at most "
                f"{context}, the crystal's included; shorten it"
            )
