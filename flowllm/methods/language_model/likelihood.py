"""Likelihoods of arbitrary crystals under a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.dataset import CrystalSet
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.examples import (
    IGNORED,
    collate,
    encode_example_prompt,
    known_conditions,
)
from flowllm.runs.progress import ItemProgress
from flowllm.text.encoding import encode_behind
from flowllm.text.formats.base import TextFormat
from flowllm.text.formats.registry import make_format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihoods of B crystals by a language model, in nats.

    Attributes:
        outline: (B,) of the sentences that the model writes into its own prompt: composition and
            space group; 0 where these are given.
        text: (B,) of the crystal's text and its end.
        outline_tokens: (B,) int64.
        text_tokens: (B,) int64.
    """

    outline: np.ndarray
    text: np.ndarray
    outline_tokens: np.ndarray
    text_tokens: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(B,) nats of everything that the model writes."""
        return self.outline + self.text

    @property
    def per_token(self) -> np.ndarray:
        """(B,) nats per token, of all that the model writes."""
        return self.total / (self.outline_tokens + self.text_tokens)

    @property
    def perplexity(self) -> np.ndarray:
        """(B,) perplexity of the crystal's text alone, base e."""
        return np.exp(-self.text / self.text_tokens)


def score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: CrystalSet,
    *,
    given: Sequence[str] = (),
    outline: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    text_format: TextFormat | None = None,
    batch_size: int = 64,
    progress: ItemProgress | None = None,
) -> Likelihood:
    """Log-likelihoods of crystals: of the outline, which the model writes, and of their texts.

    A crystal has one text (`flowllm.crystals.canonical`), and its likelihood is that of this text:
    to compare crystals from different sources, reduce them all by `flowllm.data.reduce_structure`.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer, with an end-of-text token.
        data: B crystals; the property `space_group`, where it is known, stands in the outline.
        given: conditions that the prompt states, none of the likelihood.
        outline: sentences that the model writes itself; () for a model that was not trained to,
            None for those of the format.
        texts: B texts in place of the crystals' own (the same crystals, written otherwise).
        text_format: in which the model writes; by default that of Gruver et al.
        batch_size: texts at a time, of like length.
        progress: callback.
    """
    known = known_conditions(data)
    chosen = text_format or make_format()
    outline = chosen.outline if outline is None else outline
    answers = encode_behind(tokenizer, list(texts or chosen.to_text(data.crystals)))
    stated, learnt = {*given, *outline}, set(outline).difference(given)
    examples, sizes = [], []
    for conditions, answer in zip(known, answers, strict=True):
        ids, labels = encode_example_prompt(
            tokenizer, conditions.only(stated), learnt, chosen.outline
        )
        text = [*answer, tokenizer.eos_token_id]
        examples.append({"input_ids": ids + text, "labels": labels + text})
        sizes.append(len(text))
    pad = padding(tokenizer)
    order = np.argsort([len(example["input_ids"]) for example in examples], kind="stable")
    sums = np.zeros((2, len(examples)))
    counts = np.zeros((2, len(examples)), dtype=np.int64)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = collate([examples[row] for row in rows], pad)
        nats, counted = token_log_likelihoods(model, batch)
        for place, row in enumerate(rows):
            first = len(examples[row]["input_ids"]) - sizes[row] - 1  # of the text, shifted by one
            for part, span in enumerate((slice(0, first), slice(first, None))):
                sums[part, row] = nats[place, span].sum()
                counts[part, row] = counted[place, span].sum()
        if progress:
            progress(min(start + batch_size, len(order)), len(order))
    return Likelihood(sums[0], sums[1], counts[0], counts[1])


@torch.inference_mode()
def token_log_likelihoods(
    model: PreTrainedModel, batch: dict[str, torch.Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """(B, T - 1) nats of each token after the first, 0 without a label, and the label mask."""
    model.eval()
    on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
    logits = model(
        input_ids=on_device["input_ids"], attention_mask=on_device["attention_mask"]
    ).logits
    return label_log_likelihoods(logits, on_device["labels"])


def label_log_likelihoods(
    logits: torch.Tensor, labels: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """As `token_log_likelihoods`, from logits (B, T, V) and labels (B, T)."""
    logits, labels = logits[:, :-1], labels[:, 1:]
    counted = labels != IGNORED
    chosen = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    nats = torch.where(counted, chosen, 0.0)
    return nats.double().cpu().numpy(), counted.cpu().numpy()


def as_crystal_set(crystals: CrystalBatch) -> CrystalSet:
    """Crystals with their space groups by spglib (0.1 Å), as the training data have them."""
    from flowllm.metrics.symmetry import symmetry

    groups = symmetry(crystals).space_groups.astype(float)
    return CrystalSet(crystals, {"space_group": np.where(groups > 0, groups, np.nan)})
