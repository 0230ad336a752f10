"""What is asked, checked before any work is done: against the prior and the ranges of training."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.contradictions import check_together
from flowllm.conditions.ranges import OutOfRangeWarning, TrainingRanges
from flowllm.errors import InputError
from flowllm.systems.protocols import Prior
from flowllm.text.prompts import without_frame


def check_asked(prior: Prior, asked: Conditions, max_atoms: int) -> None:
    """Refuse conditions that contradict each other or that a prior knows nothing of.

    Args:
        prior: which is asked.
        asked: what is asked of one crystal.
        max_atoms: the most atoms of a cell of the system.

    Raises:
        InputError: names the conditions; of a whole prompt, the prompt too.
    """
    try:
        if prior.exact or asked.prompt is None:  # a prior that keeps to nothing takes any text
            check_together(asked, max_atoms)
        foreign = [n for n in asked.known() if n not in prior.exact | prior.heeded]
        if foreign:
            raise InputError(f"a prior of kind {prior.kind} knows no condition {foreign[0]}")
        prior.check(asked)
    except InputError as error:
        if asked.prompt is None or str(error).startswith("prompt "):
            raise
        raise InputError(f"prompt {without_frame(asked.prompt)!r}: {error}") from None


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
