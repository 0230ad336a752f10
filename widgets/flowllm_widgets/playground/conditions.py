"""Editing a prompt: the value of each standard sentence, and validation.

The prompt's text is the truth; fields show the values of its sentences and write them.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.conditions.contradictions import contradictions
from flowllm.conditions.formula import multiple_remark
from flowllm.conditions.ranges import TrainingRanges
from flowllm.conditions.remarks import RemarkWarning
from flowllm.errors import InputError
from flowllm.text.prompts import (
    OPENING,
    REQUEST,
    STEMS,
    build_prompt,
    foreign_text,
    parse_prompt,
    standard_prompt,
    value_of,
)

FIELDS = {name: (kind.label, kind.example) for name, kind in KINDS.items()}
"""The conditions that have a field, with the field's label and an example."""
DECIMALS = ("formation_energy", "e_above_hull", "band_gap")
"""Conditions that are numbers with a fraction; a comma is read as the point."""
MAX_ATOMS = 20  # of a model that does not say how large its cells are


@dataclass(frozen=True)
class Checked:
    """A checked prompt.

    Attributes:
        values: {condition: value as written}, "" where the prompt leaves it open.
        problems: {condition: what is wrong with it}; "prompt" for the prompt as a whole.
        notes: {condition: how it is read, or that the training data do not have it, or hardly, and
            their range}.
        warning: what the compact model was not trained on; empty if there is no such thing.
    """

    values: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    warning: str = ""


def values_of(prompt: str) -> dict[str, str]:
    """The value of each standard sentence as written; "" if absent."""
    return {name: value_of(prompt, name) for name in STEMS}


def with_value(prompt: str, name: str, text: str) -> str:
    """A prompt with another value in one sentence; an empty value removes the sentence.

    A value that can be read is written as the model's training data have it, "O3TiSr" as "SrTiO3";
    any other as it is. A sentence stays in its place, a new one goes where the papers have it.
    """
    prompt = standard_prompt(prompt)
    value = " ".join(text.split())
    if value:
        with contextlib.suppress(InputError):  # then the text keeps it, and `check` says why
            value = canonical(name, value)
    if not foreign_text(prompt):
        values = values_of(prompt) | {name: value}
        sentences = (f"{STEMS[n]} {values[n]}. " for n in STEMS if values[n])
        return OPENING + "".join(sentences) + REQUEST
    pattern = _sentence(STEMS[name]) + " ?"
    sentence = f"{STEMS[name]} {value}. " if value else ""
    if re.search(pattern, prompt):
        return re.sub(pattern, lambda _: sentence, prompt, count=1)
    head = prompt.removesuffix(REQUEST)
    return head + (" " if head and not head[-1].isspace() else "") + sentence + prompt[len(head) :]


def canonical(name: str, text: str) -> str:
    """A value as written in the prompts of the training data.

    Raises:
        InputError: it cannot be read, or is out of its range.
    """
    written = build_prompt(Conditions(**{name: _read(name, text)[0]}))
    return values_of(written)[name]


def remark_on(name: str, text: str) -> str:
    """A remark on how a value is read, such as D as H; else ""."""
    with contextlib.suppress(InputError):
        return _read(name, " ".join(text.split()))[1]
    return ""


def _read(name: str, text: str) -> tuple[Any, str]:
    """The value of a text, and the remarks on it.

    Raises:
        InputError: it cannot be read.
    """
    comma = name in DECIMALS and re.fullmatch(r"\s*([-−+]?\d+),(\d+)\s*", text)
    if comma:
        text = f"{comma[1]}.{comma[2]}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RemarkWarning)
        value = KINDS[name].read(text)
    said = [str(w.message) for w in caught if issubclass(w.category, RemarkWarning)]
    if comma:
        said.append(f"read as {text}")
    return value, "; ".join(dict.fromkeys(said))


def check(
    prompt: str, training: TrainingRanges | None = None, max_atoms: int = MAX_ATOMS
) -> Checked:
    """Check a prompt: its conditions, errors, and values outside the training data.

    Args:
        prompt: the text.
        training: what the model has seen, where it says so.
        max_atoms: of the model's largest cell.
    """
    prompt = standard_prompt(prompt)
    values = values_of(prompt)
    if not prompt.strip():
        return Checked(values, {"prompt": "the prompt is empty"})
    problems = {}
    for name, value in values.items():
        if not value:
            continue
        try:
            canonical(name, value)
            parse_prompt(f"{STEMS[name]} {value}. ")  # stricter: a comma and a space, say
        except InputError as error:
            problems[name] = str(error)
    asked = _asked({name: v for name, v in values.items() if v and name not in problems})
    problems = contradictions(asked, max_atoms) | problems
    strange = {} if training is None else training.outside(asked)
    remark = multiple_remark(values["formula"], max_atoms) if values["formula"] else ""
    if remark:
        strange["formula"] = "; ".join(filter(None, [strange.get("formula"), remark]))
    notes = {name: text for name, text in strange.items() if name not in problems}
    return Checked(values, problems, notes, _strangeness(prompt))


def _asked(values: dict[str, str]) -> Conditions:
    """The conditions stated by values, each valid by itself."""
    return Conditions(**{name: _read(name, value)[0] for name, value in values.items()})


def _strangeness(prompt: str) -> str:
    """The text of a prompt outside the compact model's training."""
    if not prompt.startswith(OPENING):
        return f"The compact model expects prompts that begin with “{OPENING.strip()}”."
    if not prompt.endswith(REQUEST):
        ending = "“Generate a description … within the lattice:” and a line break"
        return f"The compact model expects prompts that end with {ending}."
    foreign = foreign_text(prompt)
    if not foreign:
        return ""
    known = " · ".join(f"{stem} …" for stem in STEMS.values())
    return f"The compact model was not trained on “{foreign[:80]}”. It knows: {known}"


def _sentence(stem: str) -> str:
    """A standard sentence, as `parse_prompt` finds it."""
    return re.escape(stem) + r" (.{0,1000}?)\.(?= |\n|$)"  # no value is longer; time stays linear
