"""The words of prompts that are one token each in a compact tokenizer, whatever the text format."""

from __future__ import annotations

from flowllm.crystals.elements import SYMBOLS
from flowllm.text.prompts import OPENING, REQUEST, STEMS

FRAME = [OPENING, REQUEST, *STEMS.values(), ". "]
"""The fixed pieces: opening, request, the beginnings of the sentences, and what ends one."""


def value_words(max_atoms: int) -> list[str]:
    """The words in values of the outline's sentences and of the number of atoms.

    Args:
        max_atoms: of the largest cell.
    """
    numbers = range(1, max(230, max_atoms) + 1)
    words = [*SYMBOLS[1:], *(f" {symbol}" for symbol in SYMBOLS[1:])]
    return [*words, *(f" {n}" for n in numbers), *(str(n) for n in range(1, max_atoms + 1))]


def prompt_words(max_atoms: int) -> list[str]:
    """All words of prompts; a format's own follow them.

    Args:
        max_atoms: of the largest cell.
    """
    return [*FRAME, *value_words(max_atoms)]
