"""Checks of conditions before any work is done, against the prior and the training ranges."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.contradictions import check_together
from flowllm.conditions.formula import multiple_remark, reduced_formula
from flowllm.conditions.ranges import OutOfRangeWarning, TrainingRanges
from flowllm.conditions.remarks import remark, shown
from flowllm.errors import InputError
from flowllm.systems.protocols import Opening, Part, Prior, Refiner, Selective
from flowllm.text.prompts import foreign_text, holds_sentence, standard_prompt, without_frame

EXAMPLE = "The chemical formula is SrTiO3. The space group number is 221."


def settings_of(part: Part, given: Any) -> Any:
    """The settings of a part: those given, or its defaults for None.

    Raises:
        InputError: they are those of another kind of part.
    """
    if given is None:
        return part.Settings()
    if not isinstance(given, part.Settings):
        asked, found = part.Settings.__name__, type(given).__name__
        raise InputError(f"{part.label}: the settings must be {asked}, not {found}")
    return given


def completed(settings: Any, prior: Prior, refiner: Refiner | None) -> Any:
    """Settings of a run whose `sampling` and `refinement` are no longer None.

    Args:
        settings: a dataclass with both fields.
        prior: of the system.
        refiner: of the system; without one `refinement` stays as it is.

    Raises:
        InputError: one of them is for another kind of part.
    """
    sampling, refinement = settings_of(prior, settings.sampling), settings.refinement
    if refiner is not None:
        refinement = settings_of(refiner, refinement)
    return replace(settings, sampling=sampling, refinement=refinement)


def check_asked(prior: Prior, asked: Conditions, max_atoms: int) -> None:
    """Refuse conditions that contradict each other or that a prior does not support.

    A prior that keeps to conditions takes prompts of standard sentences; one that keeps to nothing,
    such as a fine-tuned pretrained model, takes any text.

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
            raise InputError(
                f"a prior of kind {prior.kind} does not support the condition {foreign[0]}"
            )
        prior.check(asked)
        text = asked.prompt or ""
        if prior.exact and foreign_text(text) and not holds_sentence(text):
            raise InputError(f"expected a standard sentence, as in {EXAMPLE!r}")
    except InputError as error:
        if asked.prompt is None or str(error).startswith("prompt "):
            raise
        raise InputError(f"prompt {shown(without_frame(asked.prompt))}: {error}") from None


def check_species(prior: Prior, refiner: Refiner | None, asked: Conditions) -> None:
    """Refuse conditions whose crystals the refiner cannot process.

    Args:
        prior: which is asked.
        refiner: which gets its crystals.
        asked: what is asked of one crystal.

    Raises:
        InputError: of the refiner: it draws no species, or takes no given ones.
    """
    if isinstance(refiner, Selective):
        refiner.check_species(isinstance(prior, Opening) and prior.leaves_open(asked))


def remark_on(asked: Iterable[Conditions], written: Iterable[str], max_atoms: int) -> None:
    """Remark once on how formulas are read: D as H, and H2O2 as a multiple of HO.

    Args:
        asked: the conditions.
        written: whole prompts as a person wrote them, of which some may be bare formulas.
        max_atoms: the most atoms of a cell of the system.

    Warns:
        RemarkWarning: as said.
    """
    for text in written:
        if not holds_sentence(text) and not foreign_text(standard_prompt(text)):
            with contextlib.suppress(InputError):  # the bare frame
                reduced_formula(text)
    formulas = dict.fromkeys(conditions.formula for conditions in asked)
    for text in dict.fromkeys(multiple_remark(f, max_atoms) for f in formulas if f):
        if text:
            remark(text)


def warn_outside(
    training: TrainingRanges, asked: Iterable[Conditions], stacklevel: int = 1
) -> None:
    """Warn once for each condition that is rare or absent in training, with its range.

    Args:
        training: what training had.
        asked: the conditions.
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
