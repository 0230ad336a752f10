"""Initial embeddings that encode the similarity of elements.

A text model meets " Tm" as often as MP-20 holds thulium. What it learns of erbium should serve
there at once: so the embeddings of elements begin as random images of period, group, block, radius
and electronegativity, plus a random part of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor

from flowllm.crystals.elements import RANK_OF, SYMBOLS
from flowllm.seeds import Stream, generator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)  # atomic numbers that end the periods
SHARED = 0.7
"""Share of an embedding's variance that comes from the properties."""


def element_properties() -> np.ndarray:
    """(119, P) descriptors of the elements by atomic number, of about unit size."""
    rows = np.zeros((len(SYMBOLS), 8 + 18 + 4 + 2))
    for number in range(1, len(SYMBOLS)):
        period = next(k for k, last in enumerate(NOBLE) if number <= last)
        group, block = _place(number, period)
        rows[number, period] = 1.0
        if group:
            rows[number, 7 + group] = 1.0
        rows[number, 26 + block] = 1.0
    known = np.arange(1, len(SYMBOLS))
    radii = np.asarray(covalent_radii)[known]
    rows[known, 30] = (radii - radii.mean()) / radii.std()
    ranks = np.array([RANK_OF[SYMBOLS[n]] for n in known], dtype=float)
    rows[known, 31] = (ranks - ranks.mean()) / ranks.std()
    return rows


def _place(number: int, period: int) -> tuple[int, int]:
    """(group 1 to 18, or 0 in the f block; block: s 0, p 1, d 2, f 3)."""
    first, last = NOBLE[period - 1] + 1, NOBLE[period]
    from_left, from_right = number - first, last - number
    if from_left < 2 and number != 2:
        return from_left + 1, 0
    if from_right < 6:
        return 18 - from_right, 0 if number == 2 else 1
    if from_right < 16:  # the ten elements before the p block
        return 12 - (from_right - 6), 2
    return 0, 3


@torch.no_grad()
def embed_elements(weight: Tensor, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
    """Set the embeddings of the words that are an element, in place.

    Args:
        weight: (V, H) embeddings, already random.
        tokenizer: a compact one; words of an element that it lacks are passed over.
        seed: of the images.
    """
    rng = generator(Stream.EMBEDDING, seed)
    properties = element_properties()
    spread = float(weight.std())
    for separator in ("\n", " ", ""):
        image = rng.standard_normal((properties.shape[1], weight.shape[1]))
        shared = properties @ image
        shared /= shared[1:].std()
        for number, symbol in enumerate(SYMBOLS[1:], start=1):
            token = tokenizer.convert_tokens_to_ids(separator + symbol)
            if token is None or token == tokenizer.unk_token_id:
                continue
            alike = torch.from_numpy(shared[number]).to(weight)
            weight[token] = SHARED**0.5 * spread * alike + (1 - SHARED) ** 0.5 * weight[token]
