"""Completion: the language model continues from the first atoms or orbits of a crystal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import too_large
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.rules import rule_for
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.text.decoding_state import DecodingState
from flowllm.text.formats.base import TextError
from flowllm.text.formats.wyckoff.kept import KeptState, kept_text
from flowllm.text.formats.wyckoff.state import WyckoffState
from flowllm.text.formats.wyckoff.text_format import WyckoffText
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
        InputError: the model's tokenizer is another, it writes symmetric texts, the atoms given
            contradict the conditions, or there are more than a cell holds.
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
    """The part of the given crystal that contradicts the conditions or the text format."""
    if place < 9:
        return f"{partial.ids[0]}: the cell is outside the model's range"
    asked = without_frame(prompt) or "nothing"
    atom = (place - 9) // 4 + 1
    where = f"{partial.ids[0]}: atom {atom} in the order of the text"
    return f"{where} contradicts the conditions ({asked})"


def complete_orbits(
    prior: LanguageModelPrior,
    crystal: CrystalBatch,
    num: int,
    conditions: Conditions | None = None,
    *,
    settings: SamplingSettings | None = None,
    seeds: Sequence[int] = (0,),
) -> CrystalBatch:
    """Crystals with space group, cell and first orbits of another one, by a symmetric text.

    Such a text names all orbits before the cell and the coordinates: the model adds orbits behind
    those that stay, by electronegativity and letter, and then their coordinates.

    Args:
        prior: the language model, a compact one that writes symmetric texts.
        crystal: a batch of one.
        num: how many atoms of its primitive cell stay, in the order of the text; whole orbits.
        conditions: as of `complete_crystal`.
        settings: how to draw.
        seeds: one for each crystal wanted.

    Returns:
        At most as many crystals as seeds; ids are their positions. One that adds nothing counts.

    Raises:
        InputError: the atoms end inside an orbit, the orbits contradict the conditions, or the
            model writes other texts.
    """
    if not (prior.constrained and isinstance(prior.format, WyckoffText)):
        raise InputError("completing orbits needs a compact model with the text format wyckoff")
    settings, asked = settings or SamplingSettings(), prior.read(conditions or Conditions())
    most = prior.format.max_atoms
    kept = kept_text(prior.format.to_text(crystal)[0], num, str(crystal.ids[0]))
    head, tail = (
        prior.tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (kept.beginning, kept.end)
    )
    prompt = prompt_of(asked)
    states: list[DecodingState] = []
    for _ in seeds:
        (state,) = prior.format.states(
            prior.tokenizer, [asked], [rule_for(asked, most, prior.pool)], settings.overlap
        )
        for place, token in enumerate(head):
            if token not in state.allowed():
                part = f"orbit {kept.orbits[(place - 1) // 2]}" if place else "the space group"
                wanted = without_frame(prompt) or "nothing"
                raise InputError(f"{crystal.ids[0]}: {part} contradicts the conditions ({wanted})")
            state.advance(token)
        assert isinstance(state, WyckoffState)
        states.append(KeptState(state, list(tail)))
    prompts = [prompt + kept.beginning] * len(seeds)
    texts = decode(prior.model, prior.tokenizer, prompts, settings, list(seeds), states)
    found = []
    for index, text in enumerate(texts):
        if text is not None:
            with suppress(TextError):
                found.append(prior.format.parse_text(kept.beginning + text, str(index)))
    return CrystalBatch.concatenate(found)


def _check_format(prior: LanguageModelPrior) -> None:
    """Refuse a format that cannot continue after given atoms.

    Raises:
        InputError: names it, and what can be called instead.
    """
    if isinstance(prior.format, WyckoffText):
        raise InputError(
            f"texts of the format {prior.format.name} are completed by whole orbits; call "
            "complete_orbits"
        )


def first_atoms(prior: LanguageModelPrior, crystal: CrystalBatch, num: int) -> CrystalBatch:
    """The first atoms of a batch of one, in the order in which a language model writes them.

    Raises:
        InputError: it has not so many, or the model writes symmetric texts.
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
