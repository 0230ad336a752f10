"""Training examples: a prompt with a random subset of the known conditions, then the text.

The loss counts the crystal's text, and in the prompt the values of the sentences that the model
writes itself where they are left open (the outline of the text format).

Example k of a run depends on the seed and k alone: a resumed run reads what an uninterrupted one
would have read, however many workers or processes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.seeds import Stream, generator
from flowllm.text.encoding import beginning, encode_behind, encode_prompts
from flowllm.text.formats.base import HasEquivalents, HasOrbits, TextFormat
from flowllm.text.formats.registry import make_format
from flowllm.text.prompts import OUTLINE, build_prompt, prompt_pieces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label that the loss of transformers passes over

INCLUSION = {name: kind.share for name, kind in KINDS.items()}
"""How often each condition is given, where it is known. One prompt in twelve gives none but those
of the outline, which are drawn for themselves."""


def known_conditions(data: CrystalSet) -> list[Conditions]:
    """All known conditions of each crystal in a set."""
    crystals = data.crystals
    unknown = np.full(len(data), np.nan)
    columns = {name: data.properties.get(name, unknown) for name in INCLUSION}
    result = []
    for index, (formula, counts) in enumerate(
        zip(data.reduced_formulas, crystals.compositions, strict=True)
    ):
        values: dict[str, Any] = {
            name: float(columns[name][index])
            for name in KINDS
            if KINDS[name].number and KINDS[name].measured
            if np.isfinite(columns[name][index])
        }
        group = columns["space_group"][index]
        result.append(
            Conditions(
                formula=formula,
                composition=counts,
                elements=tuple(counts),
                num_atoms=int(crystals.num_atoms[index]),
                space_group=int(group) if np.isfinite(group) and 1 <= group <= 230 else None,
                **values,
            )
        )
    return result


def random_part(conditions: Conditions, rng: np.random.Generator) -> Conditions:
    """A random subset of the conditions, each with its share in `INCLUSION`.

    One example in twelve keeps none but the outline's, so that the model also learns to begin from
    nothing.
    """
    draws = rng.random(len(INCLUSION) + 1)
    chosen = {name for name, draw in zip(INCLUSION, draws, strict=False) if draw < INCLUSION[name]}
    if draws[-1] < 1 / 12:
        chosen &= set(OUTLINE)
    return conditions.only(chosen)


def uniform_part(conditions: Conditions, rng: np.random.Generator) -> Conditions:
    """A random subset of the conditions, of any size with equal probability, none and all included.

    How models without an outline are trained, in the manner of Gruver et al.: what is not given
    is left open.
    """
    known = conditions.known()
    size = int(rng.integers(len(known) + 1))
    return conditions.only(set(rng.permutation(known)[:size]))


@dataclass
class CrystalExamples(Dataset):
    """Tokenised examples of several epochs, as one long deterministic list.

    Attributes:
        data: the prepared crystals.
        tokenizer: any tokenizer with an end-of-text token.
        epochs: passes over the data.
        seed: of the order and of the prompts.
        batch_size: examples of like length are put together in batches of this many.
        fixed: conditions that every example states (for validation), instead of a random part.
        given: conditions that are not part of the loss, wherever they stand.
        augmentation: "none" writes each crystal in its canonical setting; "translation" moves its
            atoms together by a random vector, another one in every example (CrystalLLM);
            "normalizer" draws one of the format's equivalent texts.
        steps: cut the list to so many whole batches; None leaves it as the epochs make it.
        part: draws what a prompt states of all that is known.
        text_format: in which crystals are written.
    """

    data: CrystalSet
    tokenizer: PreTrainedTokenizerBase
    epochs: int
    seed: int
    batch_size: int
    fixed: tuple[str, ...] | None = None
    given: tuple[str, ...] = ()
    augmentation: str = "none"
    steps: int | None = None
    part: Callable[[Conditions, np.random.Generator], Conditions] = random_part
    text_format: TextFormat = field(default_factory=make_format)

    def __post_init__(self) -> None:
        self.conditions = known_conditions(self.data)
        self.equivalent = self._equivalent()
        texts = (
            self.text_format.to_text(self.data.crystals)
            if self.equivalent is None
            else [max(row, key=len) for row in self.equivalent]
        )
        self.answers = self._encoded(texts)
        self.order = self._arrange()
        if self.steps is not None:
            self.order = self.order[: self.steps * self.batch_size]

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        end = self.tokenizer.eos_token_id
        return [[*ids, end] for ids in encode_behind(self.tokenizer, texts)]

    def _equivalent(self) -> list[list[str]] | None:
        """The equivalent texts of each crystal, if augmentation draws among them."""
        if self.augmentation == "translation" and isinstance(self.text_format, HasOrbits):
            raise InputError(
                f"a translation leaves texts of the format {self.text_format.name} as they are; "
                "their augmentation is normalizer"
            )
        if self.augmentation != "normalizer":
            return None
        if not isinstance(self.text_format, HasEquivalents):
            raise InputError(f"the text format {self.text_format.name} has no equivalent texts")
        return self.text_format.equivalent_texts(self.data.crystals)

    def _arrange(self) -> np.ndarray:
        """Positions in the data for every example: shuffled, then sorted by length in windows."""
        lengths = np.array([len(answer) for answer in self.answers])
        size, window = self.batch_size, self.batch_size * 32
        rng = generator(Stream.EXAMPLE_ORDER, self.seed)
        parts: list[np.ndarray] = []
        for _ in range(self.epochs):
            shuffled = rng.permutation(len(lengths))
            for start in range(0, len(shuffled), window):
                part = shuffled[start : start + window]
                part = part[np.argsort(lengths[part], kind="stable")]
                whole = len(part) // size * size
                batches = part[:whole].reshape(-1, size)
                parts.append(rng.permutation(batches).ravel())
                parts.append(part[whole:])
        return np.concatenate(parts)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        """`input_ids` and `labels` of example `index`; what is given has no labels."""
        row = int(self.order[index])
        if self.fixed is None:
            rng = generator(Stream.EXAMPLE_CONDITIONS, self.seed, index)
            conditions = self.part(self.conditions[row], rng)
        else:
            conditions = self.conditions[row].only(set(self.fixed))
        outline = self.text_format.outline
        learnt = set(outline).difference(self.given)
        ids, labels = encode_example_prompt(self.tokenizer, conditions, learnt, outline)
        answer = self._answer(row, index)
        return {"input_ids": ids + answer, "labels": labels + answer}

    def longest(self, context: int | None) -> int:
        """An upper bound of the examples' lengths in tokens, exact where it exceeds the context."""
        outline = self.text_format.outline
        prompts = [build_prompt(known, outline) for known in self.conditions]
        answer = max(map(len, self.answers))
        # a token is at least a byte of text, so mostly nothing need be encoded
        prompt = max(len(text.encode()) for text in prompts)
        bound = len(beginning(self.tokenizer)) + prompt + answer
        if context is None or bound <= context:
            return bound
        encoded = encode_prompts(self.tokenizer, prompts)
        return max(len(p) + len(a) for p, a in zip(encoded, self.answers, strict=True))

    def _answer(self, row: int, index: int) -> list[int]:
        """The tokens of a crystal and of the end of its text, in example `index`."""
        if self.augmentation == "none":
            return self.answers[row]
        if self.equivalent is not None:
            texts = self.equivalent[row]
            drawn = generator(Stream.EXAMPLE_SHIFT, self.seed, index).integers(len(texts))
            return self._encoded([texts[drawn]])[0]
        crystal = self.data.crystals[row]
        shift = generator(Stream.EXAMPLE_SHIFT, self.seed, index).random(3)
        moved = crystal.replace(frac_coords=crystal.frac_coords + shift)
        text = self.text_format.to_text(moved)
        return [*encode_behind(self.tokenizer, text)[0], self.tokenizer.eos_token_id]


def encode_example_prompt(
    tokenizer: PreTrainedTokenizerBase,
    conditions: Conditions,
    learnt: Collection[str],
    outline: Sequence[str] = OUTLINE,
) -> tuple[list[int], list[int]]:
    """The tokens of a prompt and their labels.

    A prompt of which nothing is learnt is read as a whole, as sampling does; one with an outline
    in pieces, for the compact tokenizer the same.

    Args:
        tokenizer: any.
        conditions: what the prompt states.
        learnt: conditions whose values the model writes itself.
        outline: the sentences that stand last.
    """
    if set(learnt).isdisjoint(conditions.known()):
        ids = encode_prompts(tokenizer, [build_prompt(conditions, outline)])[0]
        return ids, [IGNORED] * len(ids)
    pieces = prompt_pieces(conditions, outline)
    encoded = tokenizer([text for text, _ in pieces], add_special_tokens=False)
    ids = beginning(tokenizer)
    labels = [IGNORED] * len(ids)
    for tokens, (_, name) in zip(encoded["input_ids"], pieces, strict=True):
        ids += tokens
        labels += tokens if name in learnt else [IGNORED] * len(tokens)
    return ids, labels


def whole_batches(rows: int, epochs: int, batch_size: int, max_steps: int | None) -> int:
    """The number of full-batch steps, so that several processes can share each batch.

    Args:
        rows: crystals of the training split.
        epochs: passes over them.
        batch_size: crystals a step.
        max_steps: stop there; None goes on to the end of the epochs.

    Raises:
        InputError: there are fewer examples than one batch takes.
    """
    steps = rows * epochs // batch_size
    if not steps:
        raise InputError(
            f"{rows} crystals and {epochs} epochs make no batch of {batch_size}; lower --batch-size"
        )
    return steps if max_steps is None else min(steps, max_steps)


def collate(examples: Sequence[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Right-padded tensors (B, T) `input_ids`, `labels` and `attention_mask`."""
    width = max(len(example["input_ids"]) for example in examples)
    shape = (len(examples), width)
    ids, labels = torch.full(shape, pad), torch.full(shape, IGNORED)
    mask = torch.zeros(shape, dtype=torch.long)
    for row, example in enumerate(examples):
        count = len(example["input_ids"])
        ids[row, :count] = torch.tensor(example["input_ids"])
        labels[row, :count] = torch.tensor(example["labels"])
        mask[row, :count] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}
