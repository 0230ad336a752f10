"""How likely a language model finds the structures that one composition could have.

A symmetric text says the space group and the orbits first, cell and coordinates last. What it says
first is a structure type, and its probability is that of all cells and coordinates behind it
together. So types with many and with few free coordinates can be compared, which the likelihoods of
whole texts do not allow: each free coordinate costs as many nats as its last digit has noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.examples import collate, encode_example_prompt
from flowllm.methods.language_model.likelihood import token_log_likelihoods
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.normalizer import canonical_orbits
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.encoding import encode_behind
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.text_format import WyckoffText

BATCH = 128


def structure_of(crystal: SymmetricCrystal) -> str:
    """The beginning of a crystal's text in canonical description: space group and orbits."""
    return strings.write_structure(crystal.number, canonical_orbits(crystal))


def structure_log_likelihoods(
    prior: LanguageModelPrior,
    asked: Sequence[Conditions],
    crystals: Sequence[SymmetricCrystal],
    watch: Watch = UNWATCHED,
) -> np.ndarray:
    """(B,) log p(space group and orbits | conditions) of B crystals, in nats.

    The sentence of the space group in the prompt counts too, where the model writes it itself.

    Args:
        prior: a language model that writes symmetric texts.
        asked: B conditions that state the composition; others in them are given as well.
        crystals: in any description; the likelihood is that of their canonical one.
        watch: `watch.step` is called before each batch.

    Raises:
        InputError: the model writes texts of another format.
    """
    if not isinstance(prior.format, WyckoffText):
        raise InputError(f"structures need texts of the format wyckoff, not {prior.format.name}")
    tokenizer, outline = prior.tokenizer, prior.format.outline
    answers = encode_behind(tokenizer, [structure_of(crystal) for crystal in crystals])
    examples = []
    for conditions, crystal, answer in zip(asked, crystals, answers, strict=True):
        learnt = set(outline).difference(conditions.known())
        values = {name: getattr(conditions, name) for name in conditions.known()}
        stated = Conditions(**{**values, "space_group": crystal.number})
        ids, labels = encode_example_prompt(tokenizer, stated, learnt, outline)
        examples.append({"input_ids": ids + answer, "labels": labels + answer})
    nats = np.zeros(len(examples))
    order = np.argsort([len(example["input_ids"]) for example in examples], kind="stable")
    for start in range(0, len(order), BATCH):
        watch.step()
        rows = order[start : start + BATCH]
        batch = collate([examples[row] for row in rows], padding(tokenizer))
        nats[rows] = token_log_likelihoods(prior.model, batch)[0].sum(1)
    return nats
