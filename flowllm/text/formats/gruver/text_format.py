"""The text format of Gruver et al., as one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.canonical import order_and_set
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.text.decoding_state import DecodingState
from flowllm.text.encoding import encode_behind
from flowllm.text.formats.gruver.state import ATOM_TOKENS, CELL_TOKENS, GruverState
from flowllm.text.formats.gruver.strings import parse_text, to_text
from flowllm.text.formats.gruver.table import GruverTable
from flowllm.text.formats.gruver.words import crystal_words
from flowllm.text.prompts import OUTLINE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class GruverText:
    """Lengths, angles, then each atom by element and coordinates (Gruver et al., ICLR 2024).

    Attributes:
        max_atoms: of the largest cell.
    """

    max_atoms: int = 20
    name: ClassVar[str] = "gruver"
    outline: ClassVar[tuple[str, ...]] = OUTLINE

    def to_text(
        self, crystals: CrystalBatch, within_element: np.ndarray | None = None
    ) -> list[str]:
        """The texts of B crystals; see `strings.to_text`."""
        return to_text(crystals, within_element)

    def parse_text(self, text: str, name: str = "text") -> CrystalBatch:
        """The crystal of a text; see `strings.parse_text`."""
        return parse_text(text, name)

    def canonical(self, crystals: CrystalBatch) -> CrystalBatch:
        """Axes and origin by `flowllm.crystals.canonical`, atoms in the order of the text."""
        return CrystalBatch.concatenate(order_and_set(crystal, True) for crystal in crystals)

    def words(self) -> list[str]:
        """Numbers with their separators, elements, and the words of prompts."""
        return crystal_words(self.max_atoms)

    def longest(self, tokenizer: PreTrainedTokenizerBase) -> int:
        """Nine tokens of cell and four an atom by the compact tokenizer.

        By others a digit, point, blank or line break takes at most one token.
        """
        try:
            GruverTable(tokenizer, self.max_atoms)
        except InputError:
            symbols = encode_behind(tokenizer, [f"\n{symbol}" for symbol in SYMBOLS[1:]])
            atom = max(map(len, symbols)) + len("\n0.00 0.00 0.00")
            return len("99.9 99.9 99.9\n119 119 119") + self.max_atoms * atom + 1
        return CELL_TOKENS + ATOM_TOKENS * self.max_atoms + 1

    def states(
        self,
        tokenizer: PreTrainedTokenizerBase,
        asked: list[Conditions],
        rules: list[CompositionRule],
        overlap: bool = False,
    ) -> list[DecodingState]:
        """A `GruverState` for each text, which goes by its rule alone."""
        table = GruverTable(tokenizer, self.max_atoms)
        return [GruverState(table, rule, overlap) for rule in rules]
