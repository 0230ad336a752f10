"""The texts of crystals, token by token, with the probability that a language model gives each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.reduce import ReduceSettings, reduce_crystal
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.examples import (
    IGNORED,
    collate,
    encode_example_prompt,
    known_conditions,
)
from flowllm.methods.language_model.likelihood import as_crystal_set, token_log_likelihoods
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.text.encoding import encode_behind

BATCH = 64  # texts at a time


class TokenText(NamedTuple):
    """A piece of a text.

    Attributes:
        text: what stands there.
        probability: that the model gives it after all that stands before; None where it is given.
    """

    text: str
    probability: float | None


def token_texts(
    prior: LanguageModelPrior, crystals: CrystalBatch
) -> dict[int, tuple[TokenText, ...]]:
    """Token probabilities of a language model for arbitrary crystals.

    Args:
        prior: the language model.
        crystals: B crystals; each is reduced to the cell in which the model knows crystals.

    Returns:
        Position of a crystal -> its text. One that cannot be written is missing: more atoms than
        the model knows, open species, a cell without volume.
    """
    reduced, rows = _reduced(crystals, prior.format.max_atoms)
    if not rows:
        return {}
    data = as_crystal_set(reduced)
    answers = encode_behind(prior.tokenizer, list(prior.format.to_text(reduced)))
    examples = []
    for known, answer in zip(known_conditions(data), answers, strict=True):
        ids, labels = encode_example_prompt(
            prior.tokenizer,
            known.only(set(prior.outline)),
            set(prior.outline),
            prior.format.outline,
        )
        examples.append({"input_ids": ids + answer, "labels": labels + answer})
    found: dict[int, tuple[TokenText, ...]] = {}
    order = np.argsort([len(example["input_ids"]) for example in examples], kind="stable")
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        batch = collate([examples[k] for k in chosen], padding(prior.tokenizer))
        nats, _ = token_log_likelihoods(prior.model, batch)
        for place, k in enumerate(chosen):
            ids = examples[k]["input_ids"]
            counted = [label != IGNORED for label in examples[k]["labels"]]
            shares = [None, *np.exp(nats[place, : len(ids) - 1]).tolist()]
            found[rows[k]] = _pieces(
                prior, ids, [p if n else None for p, n in zip(shares, counted, strict=True)]
            )
    return found


def _pieces(
    prior: LanguageModelPrior, ids: Sequence[int], shares: Sequence[float | None]
) -> tuple[TokenText, ...]:
    """The text in pieces: tokens that the model writes, and given text between them."""
    decode = prior.tokenizer.decode
    pieces: list[TokenText] = []
    given: list[int] = []
    for token, share in zip(ids, shares, strict=True):
        if share is None:
            given.append(token)
            continue
        if given:
            pieces.append(TokenText(decode(given, skip_special_tokens=True), None))
            given = []
        pieces.append(TokenText(decode([token]), share))
    return tuple(piece for piece in pieces if piece.text)


def _reduced(crystals: CrystalBatch, max_atoms: int) -> tuple[CrystalBatch, list[int]]:
    """The crystals that have a text, and their positions."""
    kept, rows = [], []
    limit = ReduceSettings(max_atoms=max_atoms)
    for row in range(len(crystals)):
        one = crystals[row]
        if (one.atomic_numbers < 1).any():
            continue
        try:
            kept.append(reduce_crystal(one, str(one.ids[0]), limit))
            rows.append(row)
        except InputError:  # it has no text, as said above
            continue
    return CrystalBatch.concatenate(kept) if kept else crystals[[]], rows
