"""Which tokens of a compact tokenizer play which role in a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.elements import ELECTRONEGATIVITY_ORDER
from flowllm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPACE_GROUPS = range(1, 231)


class PromptTable:
    """The ids of the words in values of a prompt's sentences, by their role.

    Arrays of ids stand in the order of what they mean: elements by electronegativity, counts from
    1, space groups from 1. Formats add the words of their own texts.

    Args:
        tokenizer: a compact one.
        max_atoms: of the largest cell.

    Raises:
        InputError: the tokenizer lacks such a word.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_atoms: int) -> None:
        if tokenizer.eos_token_id is None:
            raise InputError("constrained decoding needs a tokenizer with an end token")
        self._tokenizer = tokenizer
        self.end = int(tokenizer.eos_token_id)
        # " Sr" and "1" of a composition, " 221", and what ends a sentence
        self.prompt_elements = self.ids([f" {s}" for s in ELECTRONEGATIVITY_ORDER])
        self.counts = self.ids([str(n) for n in range(1, max_atoms + 1)])
        self.space_groups = self.ids([f" {n}" for n in SPACE_GROUPS])
        self.stop = int(self.ids([". "])[0])
        self.prompt_rank_of = {int(t): r for r, t in enumerate(self.prompt_elements)}
        self.count_of = {int(t): n for n, t in enumerate(self.counts, start=1)}

    def ids(self, words: Sequence[str]) -> np.ndarray:
        """(K,) ids of K words.

        Raises:
            InputError: the tokenizer has no token for one of them.
        """
        tokenizer = self._tokenizer
        found = [tokenizer.convert_tokens_to_ids(word) for word in words]
        if None in found or tokenizer.unk_token_id in found:
            raise InputError("constrained decoding needs the compact tokenizer of its text format")
        return np.array(found)
