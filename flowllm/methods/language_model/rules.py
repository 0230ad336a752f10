"""Constraints on the composition from the sentences of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import multiples_of
from flowllm.errors import InputError
from flowllm.text.prompts import (
    OUTLINE,
    parse_prompt,
    prompt_of,
    standard_prompt,
    without_frame,
)
from flowllm.text.tokenizer import warn_about_foreign_text


def stated(asked: Conditions, outline: Sequence[str] = OUTLINE) -> Conditions:
    """The conditions stated by a prompt's standard sentences, with the prompt itself.

    Args:
        asked: conditions, perhaps with a person's own prompt.
        outline: the sentences that stand last.

    Raises:
        InputError: a standard sentence cannot be read; the prompt is named.

    Warns:
        UserWarning: the prompt strays from the sentences that a compact model knows.
    """
    prompt = standard_prompt(prompt_of(asked, outline))
    warn_about_foreign_text(prompt)
    try:
        return replace(parse_prompt(prompt), prompt=prompt)
    except InputError as error:
        raise InputError(f"prompt {without_frame(prompt)!r}: {error}") from error


def rule_for(
    asked: Conditions, max_atoms: int, pool: tuple[str, ...] | None = None
) -> CompositionRule:
    """The composition rule of the conditions, for cells of limited size.

    Args:
        asked: what is asked.
        max_atoms: of the largest cell.
        pool: elements to choose from where nothing says which; None for all.

    Raises:
        InputError: the conditions contradict each other or cannot be met; the prompt is named.
    """
    try:
        cells = _compositions(asked, max_atoms)
        return CompositionRule(max_atoms, cells, asked.elements, asked.num_atoms, pool)
    except InputError as error:
        raise InputError(f"prompt {without_frame(prompt_of(asked))!r}: {error}") from error


def expected_atoms(asked: Conditions) -> int:
    """The requested number of atoms; 0 if none."""
    return sum((asked.composition or {}).values()) or asked.num_atoms or 0


def _compositions(asked: Conditions, max_atoms: int) -> tuple[dict[str, int], ...] | None:
    """The cell compositions that meet a composition and a formula, if given."""
    if asked.formula is None:
        return None if asked.composition is None else (asked.composition,)
    multiples = multiples_of(asked.formula, max_atoms)
    if asked.composition is None:
        return multiples
    return tuple(c for c in multiples if c == asked.composition)
