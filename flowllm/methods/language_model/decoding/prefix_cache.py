"""Prefix caching: a prompt that extends an earlier text is encoded only from its end on.

A model that writes sentences into its own prompt, or draws the end of a text again, would otherwise
pass over the same tokens several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import DynamicCache

MOST_BYTES = 256 * 2**20

Tokens = tuple[int, ...]


class PrefixCache:
    """Keys and values of texts, each (layers, 2, heads, T, width) for T tokens.

    Args:
        most_bytes: beyond which nothing more is kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._texts: dict[Tokens, Tensor] = {}
        self._lengths: list[int] = []  # that texts have, the longest first

    def keep(
        self, cache: DynamicCache, mask: Tensor, rows: Sequence[int], texts: Sequence[Sequence[int]]
    ) -> None:
        """Keep the keys and values of some rows of a batch.

        Args:
            cache: of B rows.
            mask: (B, T) which of its columns hold tokens.
            rows: R rows.
            texts: R texts, of which the rows hold at least all tokens; empty ones are not kept.
        """
        new = [(row, tuple(text)) for row, text in zip(rows, texts, strict=True)
               if text and tuple(text) not in self._texts]  # fmt: skip
        if not new or self.bytes >= self.most_bytes or not _is_plain(cache):
            return
        index = torch.tensor([row for row, _ in new], device=mask.device)
        layers = [torch.stack([layer.keys[index], layer.values[index]]) for layer in cache.layers]
        for place, (row, text) in enumerate(new):
            columns = mask[row].nonzero()[: len(text), 0]
            kept = torch.stack([layer[:, place].index_select(-2, columns) for layer in layers])
            self._texts[text] = kept
            self.bytes += kept.numel() * kept.element_size()
            if len(text) not in self._lengths:
                self._lengths = sorted([*self._lengths, len(text)], reverse=True)

    def longest(self, prompts: Sequence[Tokens]) -> list[Tensor] | None:
        """The keys and values of the longest cached prefix of each prompt, without its last token.

        None where a prompt begins with no text that is kept.
        """
        found = []
        for prompt in prompts:
            known = next((n for n in self._lengths if prompt[:n] in self._texts), None)
            if known is None:
                return None
            found.append(self._texts[prompt[:known]][..., : len(prompt) - 1, :])
        return found


def fill(cache: DynamicCache, beginnings: Sequence[Tensor]) -> Tensor:
    """Fill an empty cache with the prefixes of B texts, right-aligned.

    Returns:
        (B, P) which of its columns hold tokens.
    """
    first = beginnings[0]
    layers, _, heads, _, width = first.shape
    most = max(beginning.shape[-2] for beginning in beginnings)
    whole = first.new_zeros(layers, 2, len(beginnings), heads, most, width)
    mask = torch.zeros(len(beginnings), most, dtype=torch.long, device=first.device)
    for row, beginning in enumerate(beginnings):
        start = most - beginning.shape[-2]
        whole[:, :, row, :, start:] = beginning
        mask[row, start:] = 1
    for layer, (keys, values) in enumerate(whole):
        cache.update(keys, values, layer)
    return mask


def _is_plain(cache: DynamicCache) -> bool:
    """Whether each layer holds all tokens, as those of compact models do."""
    return all(not layer.is_sliding for layer in cache.layers)
