"""The forward pass over prompts before decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache, fill
from flowllm.systems.decoding_figures import count

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel


def encode(
    model: PreTrainedModel, prompts: list[list[int]], pad: int, prefixes: PrefixCache | None
) -> tuple[Tensor, DynamicCache, Tensor, Tensor]:
    """Encode the prompts, equal ones once, without cached prefixes.

    Returns:
        Logits (B, V) of the first token, the keys and values so far, attention mask (B, T) and the
        last position of each prompt (B,).
    """
    from transformers import DynamicCache

    distinct = {prompt: place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    cache = DynamicCache(config=model.config)
    known = None if prefixes is None else prefixes.longest(list(distinct))
    new: list[Sequence[int]] = list(distinct)
    if known is not None:
        new = [prompt[k.shape[-2] :] for prompt, k in zip(distinct, known, strict=True)]
    ids, mask = left_padded(new, pad, model.device)
    if known is not None:
        mask = torch.cat([fill(cache, known), mask], 1)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    output = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
        use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    logits, last = output.logits[:, -1].float(), positions[:, -1]
    if len(distinct) < len(prompts):
        index = torch.tensor([distinct[tuple(prompt)] for prompt in prompts], device=model.device)
        cache.batch_select_indices(index)
        logits, mask, last = logits[index], mask[index], last[index]
    needed = sum(map(len, new))
    count(
        passes=1, encoded=ids.numel(), padded=ids.numel() - needed,
        prompt_tokens=sum(map(len, prompts)),
    )  # fmt: skip
    return logits, cache, mask, last


def left_padded(
    prompts: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (B, T), prompts at the right end."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)
