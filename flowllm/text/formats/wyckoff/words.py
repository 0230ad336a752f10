"""The words of symmetric texts: pieces that are one token each.

Saved tokenizers and models depend on these lists and their order.
"""

from __future__ import annotations

from flowllm.crystals.elements import SYMBOLS
from flowllm.symmetry.space_group import space_group
from flowllm.text.words import FRAME, value_words

MAX_WHOLE = 99  # the largest whole number of Å that is one token
ANGLES = range(40, 141)  # degrees that are one token

GROUPS = [str(n) for n in range(1, 231)]
ELEMENTS = [f"\n{s}" for s in SYMBOLS[1:]]
FIRST_LENGTHS = [f"\n{n}" for n in range(1, MAX_WHOLE + 1)]
LENGTHS = [f" {n}" for n in range(1, MAX_WHOLE + 1)]
DECIMALS = [f".{n}" for n in range(10)]
NEXT_ANGLES = [f" {n}" for n in ANGLES]
FIRST_COORDS = [f"\n0.{n:02d}" for n in range(100)]
NEXT_COORDS = [f" 0.{n:02d}" for n in range(100)]


def position_words() -> list[str]:
    """Multiplicity and letter of all Wyckoff positions, as in " 4f", by letter and multiplicity."""
    found = {(p.letter, p.multiplicity) for n in range(1, 231)
             for p in space_group(n).positions.values()}  # fmt: skip
    order = sorted(found, key=lambda pair: (pair[0].isupper(), *pair))
    return [f" {count}{letter}" for letter, count in order]


def crystal_words(max_atoms: int) -> list[str]:
    """All words above the bytes, in the order of their ids; the same up to 230 atoms.

    Args:
        max_atoms: of the largest cell.
    """
    words = [*FRAME, *GROUPS, *ELEMENTS, *position_words(), *FIRST_LENGTHS, *LENGTHS, *DECIMALS]
    words += [*NEXT_ANGLES, *FIRST_COORDS, *NEXT_COORDS, *value_words(max_atoms)]
    return list(dict.fromkeys(words))
