"""Prompts: the sentences that condition the language model (Gruver et al., ICLR 2024).

The frame and the sentences of formula, space group, energy above the hull, band gap and formation
energy are those of the papers. Three more say what the papers' prompts leave open: the atoms of the
unit cell, the elements, and the number of atoms.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace

from flowllm.conditions.conditions import KINDS, Conditions, written_value
from flowllm.conditions.formula import reduced_formula
from flowllm.conditions.grammar import LONGEST
from flowllm.conditions.remarks import RemarkWarning, shown
from flowllm.conditions.space_groups import read_space_group
from flowllm.errors import InputError

OPENING = "Below is a description of a bulk material. "
REQUEST = (
    "Generate a description of the lengths and angles of the lattice vectors and then the element "
    "type and coordinates for each atom within the lattice:\n"
)
STEMS = {name: kind.sentence for name, kind in KINDS.items()}
"""The sentences, in the order in which they stand in a prompt; each ends with a full stop."""

OUTLINE = ("composition", "space_group")
"""What a compact model writes into a prompt itself where it is left open, before the crystal: an
outline from the coarse to the fine. These sentences stand last, behind all that was asked. A text
format may have another (`flowllm.text.formats.base.TextFormat.outline`)."""


def build_prompt(conditions: Conditions | None = None, outline: Sequence[str] = OUTLINE) -> str:
    """The prompt for some conditions, formula first; without any, the bare frame.

    Args:
        conditions: what is asked.
        outline: the sentences that stand last, in this order.
    """
    return "".join(text for text, _ in prompt_pieces(conditions or Conditions(), outline))


def prompt_pieces(
    conditions: Conditions, outline: Sequence[str] = OUTLINE
) -> list[tuple[str, str | None]]:
    """The prompt in pieces; a piece is a value if its second part names the condition."""
    pieces: list[tuple[str, str | None]] = [(OPENING, None)]
    known = conditions.known()
    last = [name for name in outline if name in known]
    for name in [*(name for name in known if name not in last), *last]:
        value = written_value(name, getattr(conditions, name))
        pieces += [(STEMS[name], None), (f" {value}. ", name)]
    return [*pieces, (REQUEST, None)]


def add_sentence(prompt: str, name: str, value: str = "") -> str:
    """A prompt with one more sentence before its request, or only its stem without a value.

    The request stands behind a whole sentence, and is left out behind a stem.

    Raises:
        ValueError: the prompt does not end with the request.
    """
    head = prompt.removesuffix(REQUEST)
    if head == prompt:
        raise ValueError("the prompt does not end with the request")
    return head + STEMS[name] + (f" {value}. {REQUEST}" if value else "")


def with_sentence(asked: Conditions, name: str, value: str) -> Conditions:
    """Conditions whose prompt has one more sentence before its request, and what that states.

    Args:
        asked: with a prompt of their own.
        name: of a condition that they leave open.
        value: as its sentence has it.

    Raises:
        InputError: the value cannot be read.
        ValueError: the prompt does not end with the request.
    """
    grown = add_sentence(prompt_of(asked), name, value)
    return replace(asked, **{name: _read(name, value)}, prompt=grown)  # type: ignore[arg-type]


def without_sentence(asked: Conditions, name: str) -> Conditions:
    """Conditions, with a prompt of their own, without the sentence of one condition."""
    shorter = re.sub(_sentence(STEMS[name]) + " ?", "", prompt_of(asked), count=1)
    return replace(asked, **{name: None}, prompt=shorter)


def parse_prompt(prompt: str) -> Conditions:
    """The conditions that a prompt's standard sentences state; other text states none.

    Raises:
        InputError: a standard sentence whose value cannot be read.
    """
    found: dict[str, object] = {}
    for name, stem in STEMS.items():
        match = re.search(_sentence(stem), prompt)
        if match:
            found[name] = _read(name, match.group(1))
    return Conditions(**found)  # type: ignore[arg-type]


def value_of(prompt: str, name: str) -> str:
    """The value of a standard sentence as written; "" if absent."""
    match = re.search(_sentence(STEMS[name]), prompt)
    return match.group(1) if match else ""


def without_frame(prompt: str) -> str:
    """The sentences of a prompt, without the opening and the closing request."""
    return prompt.replace(OPENING.strip(), "").replace(REQUEST.strip(), "").strip()


def foreign_text(prompt: str) -> str:
    """The text of a prompt beyond the frame and the standard sentences."""
    if not (prompt.startswith(OPENING) and prompt.endswith(REQUEST)):
        return prompt.strip()
    rest = without_frame(prompt)
    for stem in STEMS.values():
        rest = re.sub(_sentence(stem), "", rest, count=1)
    return rest.strip()


def _sentence(stem: str) -> str:
    return re.escape(stem) + r" (.{0,1000}?)\.(?= |\n|$)"  # no value is longer; time stays linear


def holds_sentence(text: str) -> bool:
    """Whether a text contains a standard sentence, valid or not."""
    return any(re.search(_sentence(stem), text) for stem in STEMS.values())


def standard_prompt(text: str) -> str:
    """A prompt in the training wording: a bare formula as a sentence, a symbol as a number.

    Any other text stays as it is.
    """
    if holds_sentence(text):
        group = value_of(text, "space_group")
        if group and not group.isdecimal():
            with contextlib.suppress(InputError):
                sentence = f"{STEMS['space_group']} {read_space_group(group)}."
                return re.sub(_sentence(STEMS["space_group"]), sentence, text, count=1)
        return text
    if text.startswith(OPENING) or len(text) > LONGEST:
        return text
    with warnings.catch_warnings(), contextlib.suppress(InputError):
        warnings.simplefilter("ignore", RemarkWarning)  # `flowllm.systems.checks` remarks on it
        return build_prompt(Conditions(formula=reduced_formula(text)))
    return text


def read_prompt(text: str) -> Conditions:
    """The conditions of a whole prompt, with the prompt itself as `standard_prompt` writes it.

    A prompt of which a standard sentence cannot be read states none: a language model takes any
    text, and one that follows the sentences refuses it (`check` of the prior).
    """
    prompt = standard_prompt(text)
    try:
        return replace(parse_prompt(prompt), prompt=prompt)
    except InputError:
        return Conditions(prompt=prompt)


def prompt_of(asked: Conditions, outline: Sequence[str] = OUTLINE) -> str:
    """The prompt that a language model reads: the user's own, or that of the conditions."""
    return build_prompt(asked, outline) if asked.prompt is None else asked.prompt


def _read(name: str, text: str) -> object:
    try:
        return KINDS[name].parse(text)
    except ValueError as error:
        why = f": {error}" if isinstance(error, InputError) else ""
        where = f"in the sentence {STEMS[name]!r}"
        raise InputError(f"cannot read {shown(text)} {where}{why}") from None
