"""What prompts ask for, looked at before any work is done: contradictions, ranges of training."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from flowllm.conditions.contradictions import check_together
from flowllm.conditions.ranges import OutOfRangeWarning, TrainingRanges
from flowllm.errors import InputError
from flowllm.text.prompts import Conditions, parse_prompt, without_frame


def conditions_of(prior: object, prompts: Sequence[str]) -> list[Conditions]:
    """What whole prompts ask for; one that nothing can be read of asks for nothing.

    Args:
        prior: one whose decoding is constrained has to understand every standard sentence; others
            take any text.
        prompts: whole prompts; equal ones are read once.

    Raises:
        InputError: a prompt contradicts itself, or cannot be read; it is named.
    """
    rule_for = getattr(prior, "rule_for", None)
    strict = rule_for is not None and getattr(prior, "constrained", True)
    found = []
    for prompt in dict.fromkeys(prompts):
        try:
            asked = parse_prompt(prompt)
            check_together(asked)
        except InputError as error:
            if strict:
                raise InputError(f"prompt {without_frame(prompt)!r}: {error}") from None
            continue
        if strict and rule_for is not None:
            with warnings.catch_warnings():  # sampling warns of a foreign prompt, once is enough
                warnings.simplefilter("ignore")
                rule_for(prompt)
        found.append(asked)
    return found


def warn_outside(
    training: TrainingRanges, asked: Iterable[Conditions], stacklevel: int = 1
) -> None:
    """Warn once for each condition that training did not have, or hardly had, with its range.

    Args:
        training: what training had.
        asked: what is asked for.
        stacklevel: 1 names the caller.

    Warns:
        OutOfRangeWarning: as said.
    """
    found: dict[str, list[str]] = {}
    for conditions in asked:
        for name, text in training.outside(conditions).items():
            found.setdefault(name, []).append(text)
    for texts in found.values():
        more = f"; so for {len(texts) - 1} more prompts" if len(texts) > 1 else ""
        warnings.warn(texts[0] + more, OutOfRangeWarning, stacklevel + 1)
