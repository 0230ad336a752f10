"""What the sentences of a prompt say about the composition of the crystal behind it."""

from __future__ import annotations

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import multiples_of
from flowllm.errors import InputError
from flowllm.text.prompts import parse_prompt, without_frame
from flowllm.text.tokenizer import warn_about_foreign_text


def rule_for(prompt: str) -> CompositionRule:
    """The rule of a prompt's standard sentences.

    Raises:
        InputError: they contradict each other or cannot be met; the prompt is named.
    """
    warn_about_foreign_text(prompt)
    try:
        asked = parse_prompt(prompt)
        return CompositionRule(_compositions(asked), asked.elements, asked.num_atoms)
    except InputError as error:
        raise InputError(f"prompt {without_frame(prompt)!r}: {error}") from error


def expected_atoms(prompt: str) -> int:
    """The number of atoms that a prompt asks for, 0 where it says nothing readable of it."""
    try:
        asked = parse_prompt(prompt)
    except InputError:
        return 0
    return sum((asked.composition or {}).values()) or asked.num_atoms or 0


def _compositions(asked: Conditions) -> tuple[dict[str, int], ...] | None:
    """The cell compositions that meet both a composition and a formula, where these are given."""
    if asked.formula is None:
        return None if asked.composition is None else (asked.composition,)
    multiples = multiples_of(asked.formula)
    if asked.composition is None:
        return multiples
    return tuple(c for c in multiples if c == asked.composition)
