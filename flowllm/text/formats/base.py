"""The text format interface: crystals as text and back, words, and decoding states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.text.decoding_state import DecodingState

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextError(InputError):
    """A text that is not a crystal; the message says where and why."""


class TextFormat(Protocol):
    """A text format for crystals, for cells of limited size.

    A class that follows this protocol and is registered (`flowllm.text.formats.registry`) can be
    trained on and sampled: it is made as `Class(max_atoms)`, and instances with the same number of
    atoms do the same.

    Attributes:
        name: under which it is registered; stored beside a language model.
        max_atoms: of the largest cell that it writes.
        outline: conditions whose sentences the model writes into its prompt itself where they are
            left open, in this order; names in `flowllm.text.outline.OUTLINE_STATES`.
    """

    @property
    def name(self) -> str:
        """The name under which it is registered."""
        ...

    @property
    def max_atoms(self) -> int:
        """Atoms of the largest cell that it writes."""
        ...

    @property
    def outline(self) -> tuple[str, ...]:
        """Conditions that the model writes into its prompt itself, in this order."""
        ...

    def to_text(
        self, crystals: CrystalBatch, within_element: np.ndarray | None = None
    ) -> list[str]:
        """The texts of B crystals, without a newline at the end.

        Args:
            crystals: B crystals of N atoms in all, primitive and reduced.
            within_element: (N,) numbers that decide between atoms, or orbits, of one element in
                place of the format's own order; to measure what a model knows of permutations.

        Raises:
            InputError: an atom's type is open.
        """
        ...

    def parse_text(self, text: str, name: str = "text") -> CrystalBatch:
        """The crystal that a text describes, as a batch of one.

        Args:
            text: as a model wrote it; of any content.
            name: the crystal's id, named in errors.

        Raises:
            TextError: it describes none; names the place and what is wrong with it.
        """
        ...

    def canonical(self, crystals: CrystalBatch) -> CrystalBatch:
        """B reduced crystals in the setting and the order in which the format writes them best.

        Crystals that are equal but for axes, origin and the order of atoms become equal, and so do
        their texts, as far as the format knows how.
        """
        ...

    def words(self) -> list[str]:
        """The words that are one token each in the compact tokenizer, in the order of their ids.

        Among them are those of prompts (`flowllm.text.words.prompt_words`). Saved models depend on
        list and order.
        """
        ...

    def longest(self, tokenizer: PreTrainedTokenizerBase) -> int:
        """An upper bound of the tokens of a crystal's text, its end included.

        Args:
            tokenizer: the compact one of this format, or any other.
        """
        ...

    def states(
        self,
        tokenizer: PreTrainedTokenizerBase,
        asked: list[Conditions],
        rules: list[CompositionRule],
        overlap: bool = False,
    ) -> list[DecodingState]:
        """P decoding automata at the beginnings of P texts.

        Whatever is drawn from the tokens that a state allows is a text that `parse_text` takes, of
        a composition that its rule allows.

        Args:
            tokenizer: the compact one of this format.
            asked: what P prompts state; those of the outline too, but for a person's own prompt.
            rules: P rules of the compositions.
            overlap: let atoms be written on top of each other.

        Raises:
            InputError: the tokenizer is another one.
        """
        ...


@runtime_checkable
class HasOrbits(Protocol):
    """Interface of a format of orbits, with all elements before the first coordinate."""

    def orbits_of(self, text: str) -> list[str]:
        """The orbits of a text in their order, each with its site symmetry, as in "Ti 2a (m.mm)".

        Raises:
            TextError: the text describes no crystal.
        """
        ...


@runtime_checkable
class HasEquivalents(Protocol):
    """Optional interface of a format with several equivalent texts per crystal."""

    def equivalent_texts(self, crystals: CrystalBatch) -> list[list[str]]:
        """All texts of each of B crystals, at least one."""
        ...
