"""Compositions for a requested space group.

The model writes the composition of a cell first and its space group then: it knows
p(group | composition), but not p(composition | group). By Bayes' rule the latter is proportional to
p(composition) p(group | composition): so several compositions are drawn, and one of them is chosen
with the probability that the model gives the space group behind it (sampling-importance
resampling, Rubin, J. Am. Stat. Assoc. 82, 543 (1987)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from flowllm.conditions.conditions import Conditions
from flowllm.methods.language_model.decoding.prompt_pass import left_padded
from flowllm.seeds import Stream, child_seed, generator
from flowllm.symmetry.arrangements import can_have
from flowllm.text.formats.base import TextFormat
from flowllm.text.prompts import (
    OUTLINE,
    REQUEST,
    add_sentence,
    prompt_of,
    with_sentence,
    without_sentence,
)
from flowllm.text.token_table import PromptTable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CANDIDATES = 24  # compositions that are drawn for one space group
BATCH = 256  # prompts that are scored together


class Complete(Protocol):
    """Writes compositions."""

    def __call__(
        self, stems: list[Conditions], streams: list[int], groups: list[int] | None
    ) -> list[Conditions]:
        """Conditions with their prompts, completed by a composition.

        `groups` are space groups that shall have sites for the compositions.
        """
        ...


def needs_composition(asked: Conditions, outline: Sequence[str] = OUTLINE) -> bool:
    """Whether a space group is requested and the composition, which precedes it, is open."""
    if not {"composition", "space_group"} <= set(outline):
        return False
    is_open = asked.composition is None and asked.space_group is not None
    before = outline.index("composition") < outline.index("space_group")
    return is_open and before and prompt_of(asked).endswith(REQUEST)


def with_compositions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    asked: Sequence[Conditions],
    seeds: Sequence[int],
    complete: Complete,
) -> list[Conditions]:
    """P conditions; those with a space group alone get a compatible composition.

    The sentence of the space group then stands last, as in training. Compositions whose crystals
    cannot have the space group are chosen only where there are no others. Where there are none,
    others are drawn that are held to what the group has sites for; held to it at once, the model
    would be led away from the elements that go with the group.

    Args:
        model: a compact model.
        tokenizer: its tokenizer.
        text_format: in which it writes.
        asked: P conditions, each with its prompt.
        seeds: P seeds.
        complete: writes compositions.
    """
    completed = list(asked)
    outline = text_format.outline
    chosen = [i for i, conditions in enumerate(asked) if needs_composition(conditions, outline)]
    if not chosen:
        return completed
    groups = [asked[i].space_group or 0 for i in chosen]
    drawn = _drawn(asked, seeds, chosen, complete, held=False)
    barred = [i for i in chosen if not any(_can_have_group(each, asked[i]) for each in drawn[i])]
    drawn |= _drawn(asked, seeds, barred, complete, held=True)
    grown = [each for i in chosen for each in drawn[i]]
    weights = group_log_probabilities(
        model, tokenizer, [prompt_of(each) for each in grown],
        [group for group in groups for _ in range(CANDIDATES)],
    )  # fmt: skip
    for place, (index, group) in enumerate(zip(chosen, groups, strict=True)):
        own = slice(place * CANDIDATES, (place + 1) * CANDIDATES)
        if not all(each.composition for each in grown[own]):
            continue  # the model came to no end; the prompt stays as it is
        sites = np.array([_can_have_group(each, asked[index]) for each in grown[own]])
        scores = np.where(sites, weights[own], -np.inf) if sites.any() else weights[own]
        noise = generator(Stream.CANDIDATE_CHOICE, seeds[index]).gumbel(size=CANDIDATES)
        best = int((scores + noise).argmax())  # a draw by the weights (Gumbel's trick)
        completed[index] = with_sentence(grown[own][best], "space_group", str(group))
    return completed


def _drawn(
    asked: Sequence[Conditions],
    seeds: Sequence[int],
    chosen: list[int],
    complete: Complete,
    held: bool,
) -> dict[int, list[Conditions]]:
    """Several candidates per chosen position; with `held`, only those the group has sites for."""
    if not chosen:
        return {}
    places = [i for i in chosen for _ in range(CANDIDATES)]
    first = CANDIDATES if held else 0
    streams = [
        child_seed(Stream.CANDIDATE, seeds[i], first + k) for i in chosen for k in range(CANDIDATES)
    ]
    heads = {i: without_sentence(asked[i], "space_group") for i in chosen}
    groups = [asked[i].space_group or 0 for i in places] if held else None
    grown = complete([heads[i] for i in places], streams, groups)
    return {
        i: grown[place * CANDIDATES : (place + 1) * CANDIDATES] for place, i in enumerate(chosen)
    }


def _can_have_group(grown: Conditions, asked: Conditions) -> bool:
    """Whether a composition can have the requested space group and no higher one."""
    counts = tuple(sorted((grown.composition or {}).values()))
    return bool(counts) and can_have(asked.space_group or 0, counts)


@torch.inference_mode()
def group_log_probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    groups: Sequence[int],
) -> np.ndarray:
    """(P,) natural log p(space group | prompt) under the model, over all 230 groups.

    Args:
        model: a compact model.
        tokenizer: its tokenizer.
        prompts: P prompts without the sentence of a space group.
        groups: P international numbers.
    """
    model.eval()
    device, table = model.device, PromptTable(tokenizer, 1)
    result = []
    for start in range(0, len(prompts), BATCH):
        stems = [add_sentence(p, "space_group") for p in prompts[start : start + BATCH]]
        encoded = tokenizer(stems, add_special_tokens=True)["input_ids"]
        ids, mask = left_padded(encoded, tokenizer.pad_token_id or 0, device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1)
        scores = output.logits[:, -1].float()[:, torch.as_tensor(table.space_groups)]
        wanted = torch.as_tensor(groups[start : start + BATCH], device=device) - 1
        result.append(scores.log_softmax(-1).gather(1, wanted[:, None])[:, 0].cpu().numpy())
    return np.concatenate(result).astype(np.float64)
