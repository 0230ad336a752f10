"""The symmetric text format, as one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.parallel.main_guard import check_guard
from flowllm.parallel.map import Failure, map_crystals
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import find_symmetry
from flowllm.symmetry.normalizer import canonical, equivalents
from flowllm.text.decoding_state import DecodingState
from flowllm.text.encoding import encode_behind
from flowllm.text.formats.base import TextError
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.state import WyckoffState
from flowllm.text.formats.wyckoff.table import WyckoffTable
from flowllm.text.formats.wyckoff.words import crystal_words
from flowllm.text.prompts import OUTLINE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Found = TypeVar("Found")
CELL_TOKENS = 9  # of a triclinic cell, the longest
ORBIT_TOKENS, COORD_TOKENS = 2, 3
MANY = 400  # crystals above which their symmetry is looked for on several processes


@dataclass(frozen=True)
class WyckoffText:
    """Space group, orbits, conventional cell, free coordinates (`strings` shows one).

    Attributes:
        max_atoms: of the largest primitive cell.
    """

    max_atoms: int = 20
    name: ClassVar[str] = "wyckoff"
    outline: ClassVar[tuple[str, ...]] = OUTLINE

    def to_text(
        self, crystals: CrystalBatch, within_element: np.ndarray | None = None
    ) -> list[str]:
        """The texts of B crystals in their canonical description.

        Of `within_element` an orbit takes the number of one of its element's atoms.

        Raises:
            InputError: an atom's type is open, or spglib finds no space group.
        """
        if (crystals.atomic_numbers < 1).any():
            raise InputError("a crystal with an open type has no text")
        found = _found(_described, crystals)
        if within_element is None:
            return [strings.write(crystal) for crystal in found]
        texts = []
        for crystal, start, atoms in zip(found, crystals.offsets, crystals.num_atoms, strict=True):
            own = slice(start, start + atoms)
            inner = _of_orbits(crystal, crystals.atomic_numbers[own], within_element[own])
            texts.append(strings.write(crystal, inner))
        return texts

    def equivalent_texts(self, crystals: CrystalBatch) -> list[list[str]]:
        """All texts of each of B crystals, over the cosets of the Euclidean normaliser."""
        return [
            list(dict.fromkeys(map(strings.write, row))) for row in _found(_equivalents, crystals)
        ]

    def parse_text(self, text: str, name: str = "text") -> CrystalBatch:
        """The primitive cell, reduced by Niggli, of the crystal of a text.

        Raises:
            TextError: it describes none.
        """
        crystal = strings.read(text, name)
        if crystal.num_atoms > self.max_atoms:
            raise TextError(f"{name}: {crystal.num_atoms} atoms, more than {self.max_atoms}")
        try:
            return crystal.to_primitive(name)
        except InputError as error:
            raise TextError(str(error)) from error

    def orbits_of(self, text: str) -> list[str]:
        """As in "Ti 2a (m.mm)", one for each orbit.

        Raises:
            TextError: the text describes no crystal.
        """
        crystal = strings.read(text)
        return [
            f"{SYMBOLS[element]} {position.titled}"
            for element, position in zip(crystal.elements, crystal.positions, strict=True)
        ]

    def canonical(self, crystals: CrystalBatch) -> CrystalBatch:
        """Idealised, reduced crystals, orbit by orbit in text order."""
        found = _found(_described, crystals)
        return CrystalBatch.concatenate(
            crystal.to_primitive(name)
            for crystal, name in zip(found, crystals.ids.tolist(), strict=True)
        )

    def words(self) -> list[str]:
        """Space groups, elements, Wyckoff positions, numbers, and the words of prompts."""
        return crystal_words(self.max_atoms)

    def longest(self, tokenizer: PreTrainedTokenizerBase) -> int:
        """An orbit with three free coordinates for each atom, in a triclinic cell.

        By other tokenizers than the compact one a digit, point, blank or line break takes at most
        one token.
        """
        try:
            WyckoffTable(tokenizer, self.max_atoms)
        except InputError:
            symbols = encode_behind(tokenizer, [f"\n{symbol}" for symbol in SYMBOLS[1:]])
            orbit = max(map(len, symbols)) + len(" 192a") + len("\n0.00 0.00 0.00")
            return len("230\n99.9 99.9 99.9 119 119 119") + self.max_atoms * orbit + 1
        return 2 + CELL_TOKENS + (ORBIT_TOKENS + COORD_TOKENS) * self.max_atoms

    def states(
        self,
        tokenizer: PreTrainedTokenizerBase,
        asked: list[Conditions],
        rules: list[CompositionRule],
        overlap: bool = False,
    ) -> list[DecodingState]:
        """A `WyckoffState` for each text, held to composition and space group of its prompt."""
        table = WyckoffTable(tokenizer, self.max_atoms)
        return [
            WyckoffState(table, rule, each.space_group, overlap)
            for each, rule in zip(asked, rules, strict=True)
        ]


def _described(crystal: CrystalBatch) -> SymmetricCrystal:
    return canonical(find_symmetry(crystal))


def _equivalents(crystal: CrystalBatch) -> list[SymmetricCrystal]:
    return equivalents(canonical(find_symmetry(crystal)))


def _found(fn: Callable[[CrystalBatch], Found], crystals: CrystalBatch) -> list[Found]:
    """fn of each crystal; for many, on all cores if the running script allows processes."""
    parts = list(crystals)
    if len(parts) < MANY or not _may_start_processes():
        return [fn(part) for part in parts]
    results = map_crystals(fn, parts, chunk_size=64, names=crystals.ids.tolist())
    failed = next((result for result in results if isinstance(result, Failure)), None)
    if failed is not None:
        raise InputError(str(failed))
    return results


def _may_start_processes() -> bool:
    try:
        check_guard()
    except InputError:
        return False
    return True


def _of_orbits(
    crystal: SymmetricCrystal, numbers: np.ndarray, within_element: np.ndarray
) -> np.ndarray:
    """(k,) a value per orbit, taken in order from its element's atoms."""
    waiting = {n: within_element[numbers == n].tolist() for n in np.unique(numbers).tolist()}
    return np.array([waiting[element].pop(0) for element in crystal.elements.tolist()])
