"""The words of texts of Gruver et al.: pieces of prompts and of crystals that are one token each.

Saved tokenizers and models depend on these lists and their order.
"""

from __future__ import annotations

from flowllm.crystals.elements import SYMBOLS
from flowllm.text.words import FRAME, value_words

MAX_WHOLE = 99  # the largest whole number of Å that is one token
ANGLES = range(55, 126)  # degrees that are one token; Niggli cells lie between 60 and 120

FIRST_LENGTHS = [str(n) for n in range(1, MAX_WHOLE + 1)]
LENGTHS = [f" {n}" for n in range(1, MAX_WHOLE + 1)]
DECIMALS = [f".{n}" for n in range(10)]
FIRST_ANGLES = [f"\n{n}" for n in ANGLES]
NEXT_ANGLES = [f" {n}" for n in ANGLES]
ELEMENTS = [f"\n{s}" for s in SYMBOLS[1:]]
FIRST_COORDS = [f"\n0.{n:02d}" for n in range(100)]
NEXT_COORDS = [f" 0.{n:02d}" for n in range(100)]


def crystal_words(max_atoms: int) -> list[str]:
    """All words above the bytes, in the order of their ids; the same up to 99 atoms.

    Args:
        max_atoms: of the largest cell.
    """
    words = [*FRAME, *FIRST_LENGTHS, *LENGTHS, *DECIMALS]
    words += [*FIRST_ANGLES, *NEXT_ANGLES, *ELEMENTS, *SYMBOLS[1:], *(f" {s}" for s in SYMBOLS[1:])]
    words += [*FIRST_COORDS, *NEXT_COORDS, *(f" {n}" for n in range(100, 231))]
    words += value_words(max_atoms)
    return list(dict.fromkeys(words))
