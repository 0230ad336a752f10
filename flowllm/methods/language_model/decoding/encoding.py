"""Models and their tokenizers: whether they can write crystals, and their context length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.runs.files import read_json
from flowllm.text.encoding import encode_behind
from flowllm.text.formats.base import TextFormat
from flowllm.text.prompts import REQUEST

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

SAMPLE = CrystalBatch(
    np.array([38, 17, 8]),
    np.array([[0.0, 0.25, 0.99], [0.51, 0.5, 0.67], [0.08, 0.43, 0.36]]),
    np.array([[3.9, 10.2, 5.0]]),
    np.array([[90.0, 90.0, 120.0]]),
    np.array([3]),
    np.array(["sample"]),
)


def padding(tokenizer: PreTrainedTokenizerBase) -> int:
    """The padding token; the end token if the tokenizer has none.

    What is padding says the attention mask, so the token does not matter.
    """
    ids = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(token) for token in ids if token is not None), 0)


def is_large(folder: str | Path) -> bool:
    """Whether a folder holds an adapter, or a model without the compact tokenizer.

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


def check_tokenizer(
    tokenizer: PreTrainedTokenizerBase, vocabulary: int, name: str, text_format: TextFormat
) -> None:
    """Check that a model's tokenizer can write crystals.

    Args:
        tokenizer: the tokenizer.
        vocabulary: tokens that the model knows; it is not resized.
        name: of the model, for the message.
        text_format: in which it shall write.

    Raises:
        InputError: the tokenizer has no end-of-text token, loses a part of a crystal's text (its
            line breaks, for one), or belongs to a model with more tokens.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(f"{name}: its tokenizer has no end-of-text token")
    text = text_format.to_text(SAMPLE)[0]
    ids = encode_behind(tokenizer, [text])[0]
    back = tokenizer.decode(ids, skip_special_tokens=True)
    if back != text:
        raise InputError(
            f"{name}: its tokenizer cannot write crystals: {text[:23]!r} comes back as "
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
    """The context length of a model, in tokens; None if unlimited."""
    longest = getattr(config, "max_position_embeddings", None)
    return longest if isinstance(longest, int) and longest > 0 else None


def check_prompts(
    prompts: Sequence[str], encoded: Sequence[Sequence[int]], context: int | None
) -> None:
    """Refuse prompts that leave no room for a text.

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
