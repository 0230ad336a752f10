"""Make the arrays that `recipes.gpu` trains from, of MP-20's splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from flowllm.data.dataset import CrystalSet
from flowllm.methods.equivariant.pairs import save_pairs
from flowllm.methods.equivariant.predicted import predicted_pairs
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.language_model.examples import (
    IGNORED,
    encode_example_prompt,
    known_conditions,
    random_part,
)
from flowllm.methods.templates.build import build_table
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.methods.templates.similarity import shipped_similarity
from flowllm.seeds import Stream, generator
from flowllm.text.encoding import encode_behind
from flowllm.text.formats.base import HasEquivalents, TextFormat
from flowllm.text.formats.registry import make_format
from flowllm.text.tokenizer import build_tokenizer
from flowllm.workflows.train.splits import training_splits
from recipes import prepared
from recipes.prepared import PreparedTexts, Ragged


def prepare(folder: Path, wordings: int, rows: int = 0, crystals_only: bool = False) -> None:
    """Write all arrays and the tokenizer.

    Args:
        folder: is made if need be.
        wordings: prompts of each crystal.
        rows: take only the first crystals of each split; 0 takes all.
        crystals_only: leave out texts, symmetry and templates, which take minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    train, held_out = (split[:rows] if rows else split for split in training_splits("mp_20"))
    prepared.save_crystals(folder, {"train": train, "val": held_out})
    if crystals_only:
        return
    chosen = make_format(prepared.FORMAT, prepared.MAX_ATOMS)
    tokenizer = build_tokenizer(chosen)
    tokenizer.save_pretrained(folder / prepared.TOKENIZER)
    texts = {"train": prepare_texts(train, tokenizer, chosen, wordings, True)}
    for name, given in prepared.HELD_OUT.items():
        texts[name] = prepare_texts(held_out, tokenizer, chosen, 1, False, given)
    prepared.save_texts(folder, texts)
    targets = {
        name: SymmetricTargets.of(part.crystals)
        for name, part in zip(prepared.SPLITS, (train, held_out), strict=True)
    }
    prepared.save_targets(folder, targets)
    prior = TemplatePrior(build_table(train.crystals), shipped_similarity())
    pairs = {name: predicted_pairs(prior, part) for name, part in targets.items()}
    save_pairs(folder / prepared.PAIRS, **pairs)


def prepare_texts(
    data: CrystalSet,
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    wordings: int,
    equivalent: bool,
    given: tuple[str, ...] | None = None,
) -> PreparedTexts:
    """The examples of `language_model.examples`, with all wordings at once.

    Args:
        data: the crystals.
        tokenizer: the compact one.
        text_format: in which they are written.
        wordings: prompts of each crystal.
        equivalent: all equivalent texts of a crystal, not only the canonical one.
        given: for held-out crystals: the outline alone, this is not part of the loss.
    """

    conditions, end = known_conditions(data), tokenizer.eos_token_id
    prompts: list[list[int]] = []
    learnt: list[list[int]] = []
    outline = text_format.outline
    writes = set(outline).difference(given or ())
    for row, condition in enumerate(conditions):
        for wording in range(wordings):
            rng = generator(Stream.EXAMPLE_CONDITIONS, 0, row * wordings + wording)
            stated = random_part(condition, rng) if given is None else condition.only(set(outline))
            ids, labels = encode_example_prompt(tokenizer, stated, writes, outline)
            prompts.append(ids)
            learnt.append([int(label != IGNORED) for label in labels])
    if equivalent:
        assert isinstance(text_format, HasEquivalents)
        texts = [list(dict.fromkeys(row)) for row in text_format.equivalent_texts(data.crystals)]
    else:
        texts = [[text] for text in text_format.to_text(data.crystals)]
    flat = encode_behind(tokenizer, [text for row in texts for text in row])
    return PreparedTexts(
        Ragged.of(prompts),
        Ragged.of(learnt, np.uint8),
        Ragged.of([[*ids, end] for ids in flat]),
        np.concatenate([[0], np.cumsum([len(row) for row in texts])]),
    )
