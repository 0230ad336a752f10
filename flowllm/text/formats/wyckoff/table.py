"""Which tokens of the compact tokenizer play which role in a symmetric text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.crystals.elements import ELECTRONEGATIVITY_ORDER
from flowllm.text.formats.wyckoff import words
from flowllm.text.token_table import PromptTable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class WyckoffTable(PromptTable):
    """The ids of the crystal's words in a compact tokenizer, by their role.

    Arrays of ids stand in the order of what they mean: space groups from 1, elements by
    electronegativity, lengths 1 to 99, decimals 0 to 9, angles as in `words.ANGLES`, coordinates
    0.00 to 0.99.

    Args:
        tokenizer: the compact one of this format.
        max_atoms: of the largest primitive cell.

    Raises:
        InputError: the tokenizer is another one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_atoms: int) -> None:
        super().__init__(tokenizer, max_atoms)
        ids = self.ids
        self.groups = ids(words.GROUPS)
        self.elements = ids([f"\n{s}" for s in ELECTRONEGATIVITY_ORDER])
        labels = words.position_words()
        self.position_of = dict(zip([x.strip() for x in labels], ids(labels).tolist(), strict=True))
        self.first_lengths, self.lengths = ids(words.FIRST_LENGTHS), ids(words.LENGTHS)
        self.decimals, self.angles = ids(words.DECIMALS), ids(words.NEXT_ANGLES)
        self.first_coords, self.next_coords = ids(words.FIRST_COORDS), ids(words.NEXT_COORDS)
        self.group_of = {int(t): n for n, t in enumerate(self.groups, start=1)}
        self.rank_of = {int(t): r for r, t in enumerate(self.elements)}
        self.letter_of = {t: label[-1] for label, t in self.position_of.items()}
        wholes = (self.first_lengths, self.lengths)
        self.whole_of = {int(t): n for ids_ in wholes for n, t in enumerate(ids_, start=1)}
        self.decimal_of = {int(t): n / 10 for n, t in enumerate(self.decimals)}
        self.angle_of = {int(t): n for n, t in zip(words.ANGLES, self.angles, strict=True)}
        self.step_of = {int(t): n for n, t in enumerate(self.first_coords)}
        self.step_of |= {int(t): n for n, t in enumerate(self.next_coords)}
