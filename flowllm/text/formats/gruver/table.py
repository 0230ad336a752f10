"""Which tokens of the compact tokenizer play which role in a text of Gruver et al."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.cells import cell_volumes
from flowllm.crystals.elements import ELECTRONEGATIVITY_ORDER
from flowllm.text.formats.gruver import words
from flowllm.text.formats.gruver.strings import MIN_VOLUME_FRACTION
from flowllm.text.token_table import PromptTable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LEGAL_ANGLES = range(59, 122)  # what Niggli reduction leaves, with a degree of rounding


class GruverTable(PromptTable):
    """The ids of the crystal's words in a compact tokenizer, by their role.

    Arrays of ids stand in the order of what they mean: lengths 1 to 99, decimals 0 to 9, angles as
    in `LEGAL_ANGLES`, elements by electronegativity, coordinates 0.00 to 0.99.

    Args:
        tokenizer: the compact one of this format.
        max_atoms: of the largest cell.

    Raises:
        InputError: the tokenizer is another one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_atoms: int) -> None:
        super().__init__(tokenizer, max_atoms)
        ids = self.ids
        self.first_lengths, self.lengths = ids(words.FIRST_LENGTHS), ids(words.LENGTHS)
        self.decimals = ids(words.DECIMALS)
        self.first_angles = ids([f"\n{n}" for n in LEGAL_ANGLES])
        self.next_angles = ids([f" {n}" for n in LEGAL_ANGLES])
        self.elements = ids([f"\n{s}" for s in ELECTRONEGATIVITY_ORDER])
        self.first_coords, self.next_coords = ids(words.FIRST_COORDS), ids(words.NEXT_COORDS)
        self.rank_of = {int(t): r for r, t in enumerate(self.elements)}
        self.angle_of = {int(t): n for n, t in zip(LEGAL_ANGLES, self.first_angles, strict=True)}
        self.angle_of |= {int(t): n for n, t in zip(LEGAL_ANGLES, self.next_angles, strict=True)}
        self.step_of = {int(t): n for n, t in enumerate(self.first_coords)}
        self.step_of |= {int(t): n for n, t in enumerate(self.next_coords)}
        wholes = (self.first_lengths, self.lengths)
        self.whole_of = {int(t): n for ids_ in wholes for n, t in enumerate(ids_, start=1)}
        self.decimal_of = {int(t): n / 10 for n, t in enumerate(self.decimals)}
        self._last_angles: dict[tuple[int, int], np.ndarray] = {}

    def last_angles(self, alpha: int, beta: int) -> np.ndarray:
        """Ids of the third angles that give a volume with the first two."""
        key = (alpha, beta)
        if key not in self._last_angles:
            trial = np.array([[alpha, beta, gamma] for gamma in LEGAL_ANGLES], dtype=float)
            fraction = cell_volumes(np.ones_like(trial), trial)
            self._last_angles[key] = self.next_angles[fraction > 2 * MIN_VOLUME_FRACTION]
        return self._last_angles[key]
