"""Completion: the language model goes on from a cell and the first atoms of a crystal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import too_large
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.rules import rule_for
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.text.formats.base import HasOrbits, TextError
from flowllm.text.prompts import prompt_of, without_frame


def complete_crystal(
    prior: LanguageModelPrior,
    partial: CrystalBatch,
    conditions: Conditions | None = None,
    *,
    settings: SamplingSettings | None = None,
    seeds: Sequence[int] = (0,),
) -> CrystalBatch:
    """Crystals that begin with the cell and the atoms of a partial one.

    A text rises by electronegativity, and inside an element by coordinates: so what is added comes
    behind the atoms given, in this order. Give those first that are least electronegative.

    Args:
        prior: the language model, a compact one.
        partial: a batch of one, of n atoms, in the setting in which it shall stay.
        conditions: what the whole crystal shall be; its formula, composition, elements and number
            of atoms are kept to.
        settings: how to draw.
        seeds: one for each crystal wanted.

    Returns:
        At most as many crystals as seeds; ids are their positions. One that adds nothing counts.

    Raises:
        InputError: the model's tokenizer is another or its texts do not rise atom by atom, the
            atoms given contradict the conditions, or there are more than a cell holds.
    """
    if not prior.constrained:
        raise InputError("completion needs the compact model, whose texts can be constrained")
    _check_format(prior)
    settings, asked = settings or SamplingSettings(), prior.read(conditions or Conditions())
    prompt, beginning = prompt_of(asked), prior.format.to_text(partial)[0]
    size, most = int(partial.num_atoms[0]), prior.format.max_atoms
    if size > most:
        raise InputError(too_large(f"{size} atoms", most))
    tokens = prior.tokenizer(beginning, add_special_tokens=False)["input_ids"]
    count = len(seeds)
    states = prior.format.states(  # what is given may lie anywhere
        prior.tokenizer, [asked] * count, [rule_for(asked, most, prior.pool)] * count, overlap=True
    )
    for state in states:
        for place, token in enumerate(tokens):
            if token not in state.allowed():
                raise InputError(_contradiction(partial, place, prompt))
            state.advance(token)
    prompts = [prompt + beginning] * count
    texts = decode(prior.model, prior.tokenizer, prompts, settings, list(seeds), states)
    found = []
    for index, text in enumerate(texts):
        if text is None:
            continue
        try:
            found.append(prior.format.parse_text(_joined(beginning, text), str(index)))
        except TextError:
            continue
    return CrystalBatch.concatenate(found)


def _joined(beginning: str, rest: str) -> str:
    rest = rest.strip("\n")
    return f"{beginning}\n{rest}" if rest else beginning


def _contradiction(partial: CrystalBatch, place: int, prompt: str) -> str:
    """Which part of the given crystal the conditions, or the form of a text, leave no room for."""
    if place < 9:
        return f"{partial.ids[0]}: the cell is none that the model knows"
    asked = without_frame(prompt) or "nothing"
    atom = (place - 9) // 4 + 1
    where = f"{partial.ids[0]}: atom {atom} in the order of the text"
    return f"{where} contradicts what is asked ({asked})"


def _check_format(prior: LanguageModelPrior) -> None:
    """Refuse a format in which nothing can be put behind atoms that stand already.

    Raises:
        InputError: names it, and what can be asked instead.
    """
    if isinstance(prior.format, HasOrbits):
        raise InputError(
            f"a model of the text format {prior.format.name} cannot complete atoms: it writes all "
            "orbits before the first coordinate; mask sites or an element, generate with the "
            "space group and formula, or take a model of the format gruver"
        )


def first_atoms(prior: LanguageModelPrior, crystal: CrystalBatch, num: int) -> CrystalBatch:
    """The first atoms of a batch of one, in the order in which a language model writes them.

    Raises:
        InputError: it has not so many, or the model's texts do not rise atom by atom.
    """
    _check_format(prior)
    count = int(crystal.num_atoms[0])
    if not 1 <= num <= count:
        raise InputError(f"the first {num} of {count} atoms; choose 1 to {count}")
    ordered = prior.rounded(crystal)
    return ordered.replace(
        atomic_numbers=ordered.atomic_numbers[:num],
        frac_coords=ordered.frac_coords[:num],
        num_atoms=np.array([num]),
    )
