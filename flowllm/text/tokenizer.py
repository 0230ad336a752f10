"""The compact tokenizer: one token for each word of a text format and for a prompt sentence.

It is a `PreTrainedTokenizerFast` whose vocabulary of crystal words stands above a byte-level base:
a crystal takes some 60 tokens instead of 400 (10 + 4n in the format of Gruver et al.), and any
other text still encodes, byte by byte. Words carry the separator before them ("\\nSr", " 0.25"), so
text and tokens correspond to the letter.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from flowllm.errors import InputError
from flowllm.text.formats.base import TextFormat
from flowllm.text.formats.registry import make_format
from flowllm.text.prompts import STEMS, foreign_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

PAD, END = "<pad>", "</s>"
CONTEXT = 512  # tokens
PROMPT_TOKENS = 256  # of a prompt, with some 100 elements in its composition


def build_tokenizer(chosen: TextFormat | None = None) -> PreTrainedTokenizerFast:
    """The compact tokenizer of a text format, the same on every call.

    Args:
        chosen: the format; by default that of Gruver et al. for cells of up to 20 atoms.
    """
    from transformers import PreTrainedTokenizerFast

    chosen = chosen or make_format()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base = {token: index for index, token in enumerate([PAD, END, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=base, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([PAD, END])
    # single characters stay bytes of the base: an added "H" would hide the byte that spells it
    tokenizer.add_tokens(
        [AddedToken(word, normalized=False) for word in chosen.words() if word not in base]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=CONTEXT,
    )
    made.model_max_length = max(CONTEXT, longest_text(chosen, made))
    return made


def longest_text(chosen: TextFormat, tokenizer: PreTrainedTokenizerBase | None = None) -> int:
    """Length of a prompt and the longest crystal, in tokens of the format's compact tokenizer."""
    return PROMPT_TOKENS + chosen.longest(tokenizer or build_tokenizer(chosen))


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved in a folder by `save_pretrained`.

    Raises:
        InputError: the folder holds none.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"{folder} contains no tokenizer.json")
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(str(folder), padding_side="left")
    except Exception as error:  # the parser of tokenizer.json raises bare exceptions
        raise InputError(f"{path} is damaged: {error}") from error


def warn_about_foreign_text(prompt: str) -> None:
    """Warn if a prompt strays from the sentences that the compact model was trained on."""
    foreign = foreign_text(prompt)
    if not foreign:
        return
    sentences = " | ".join(stem + "…" for stem in STEMS.values())
    warnings.warn(
        f"the compact model was trained on these sentences only: {sentences}; "
        f"it was not trained on {foreign[:80]!r}",
        stacklevel=3,
    )
