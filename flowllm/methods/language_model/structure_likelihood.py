"""Likelihoods of structures of one composition under a language model.

A symmetric text says the space group and the orbits first, cell and coordinates last. What it says
first is a structure type, and its probability is that of all cells and coordinates behind it
together. So types with many and with few free coordinates can be compared, which the likelihoods of
whole texts do not allow: each free coordinate costs as many nats as its last digit has noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.decoding.prompt_pass import left_padded
from flowllm.methods.language_model.examples import IGNORED, collate, encode_example_prompt
from flowllm.methods.language_model.likelihood import label_log_likelihoods
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.normalizer import canonical_orbits
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.encoding import encode_behind
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.text_format import WyckoffText

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH = 128  # texts that are passed over together, of like length
TOGETHER = 1024  # texts whose beginnings are held together
Example = dict[str, list[int]]


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
    parts = [_cut(example) for example in examples]
    order = sorted(range(len(parts)), key=lambda row: (len(parts[row][0]), parts[row][0]))
    for start in range(0, len(order), TOGETHER):
        rows = order[start : start + TOGETHER]
        some = [parts[row] for row in rows]
        nats[rows] = _nats(prior.model, some, padding(tokenizer), watch)
    return nats


def _cut(example: Example) -> tuple[tuple[int, ...], Example]:
    """What precedes the last token before the first label, and the rest."""
    first = next(place for place, label in enumerate(example["labels"]) if label != IGNORED) - 1
    return tuple(example["input_ids"][:first]), {k: v[first:] for k, v in example.items()}


@torch.inference_mode()
def _nats(
    model: PreTrainedModel,
    parts: Sequence[tuple[tuple[int, ...], Example]],
    pad: int,
    watch: Watch,
) -> np.ndarray:
    """(B,) nats of the labels of B examples, each cut in two; equal prefixes are encoded once."""
    from transformers import DynamicCache

    model.eval()
    watch.step()
    distinct = {head: place for place, head in enumerate(dict.fromkeys(h for h, _ in parts))}
    ids, before = left_padded(list(distinct), pad, model.device)
    heads = DynamicCache(config=model.config)
    positions = (before.cumsum(-1) - 1).clamp(min=0)
    model(
        input_ids=ids, attention_mask=before, position_ids=positions, past_key_values=heads,
        use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    nats = np.zeros(len(parts))
    order = np.argsort([len(tail["input_ids"]) for _, tail in parts], kind="stable")
    for start in range(0, len(order), BATCH):
        watch.step()
        rows = order[start : start + BATCH]
        tails = collate([parts[row][1] for row in rows], pad)
        tails = {name: tensor.to(model.device) for name, tensor in tails.items()}
        index = torch.tensor([distinct[parts[row][0]] for row in rows], device=model.device)
        cache = DynamicCache(config=model.config)
        for place, layer in enumerate(heads.layers):
            cache.update(layer.keys[index], layer.values[index], place)
        mask = torch.cat([before[index], tails["attention_mask"]], 1)
        positions = (mask.cumsum(-1) - 1)[:, -tails["input_ids"].shape[1] :]
        logits = model(
            input_ids=tails["input_ids"], attention_mask=mask, position_ids=positions,
            past_key_values=cache, use_cache=True,
        ).logits  # fmt: skip
        nats[rows] = label_log_likelihoods(logits, tails["labels"])[0].sum(1)
    return nats
