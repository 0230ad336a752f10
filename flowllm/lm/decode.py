"""Batched sampling from a causal language model with a key-value cache.

Texts of like length are sampled together and finished rows leave the batch, so short crystals do
not wait for long ones. Each text has a seed of its own: what it draws does not depend on which
others are sampled beside it (to within the rounding of a batched matrix product).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.errors import InputError
from flowllm.lm.cache import cache_for
from flowllm.lm.settings import SamplingSettings
from flowllm.text.outline import DecodingState

__all__ = ["SamplingSettings", "decode", "nucleus", "pick"]

Seed = int | list[int]


def nucleus(logits: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities (B, V), likeliest first and cut to the nucleus, and the tokens they belong to.

    The nucleus is the smallest set of the likeliest tokens whose probabilities reach `top_p`; the
    likeliest is always in it. Logits of minus infinity are never drawn.
    """
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
    probabilities, tokens = torch.softmax(scaled, -1).sort(-1, descending=True)
    before = probabilities.cumsum(-1) - probabilities
    kept = torch.where(before < top_p, probabilities, 0.0)
    return kept / kept.sum(-1, keepdim=True), tokens


def pick(probabilities: Tensor, tokens: Tensor, uniform: Tensor) -> Tensor:
    """(B,) tokens where the cumulative probabilities pass the uniform numbers (B,) in [0, 1)."""
    place = (probabilities.cumsum(-1) <= uniform[:, None]).sum(-1)
    last = (probabilities > 0).sum(-1) - 1
    return tokens.gather(-1, torch.minimum(place, last)[:, None])[:, 0]


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    states: Sequence[DecodingState] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[str | None]:
    """One text for each prompt, None where no end came in time.

    Args:
        model: any causal language model.
        tokenizer: its tokenizer; the compact one where `states` are given.
        prompts: P prompts.
        settings: how to draw.
        seeds: P seeds.
        states: P states at their beginning that constrain the decoding, and are used up by it; or
            None to let the model write freely.
        progress: called with the number of texts that have just been finished.

    Raises:
        InputError: an empty prompt.
    """
    model.eval()
    encoded = tokenizer(list(prompts), add_special_tokens=True)["input_ids"] if prompts else []
    for prompt, ids in zip(prompts, encoded, strict=True):
        if not ids:
            raise InputError(f"the prompt {prompt!r} is empty")
    sizes = [states[i].longest if states else 0 for i in range(len(prompts))]
    # longest first: rows that finish early then stand at a batch's end and are dropped at no cost
    order = sorted(range(len(prompts)), key=lambda i: (-sizes[i], len(encoded[i])))
    results: list[str | None] = [None] * len(prompts)
    for start in range(0, len(order), settings.batch_size):
        chosen = order[start : start + settings.batch_size]
        written = _decode_batch(
            model, tokenizer, [encoded[i] for i in chosen], settings, [seeds[i] for i in chosen],
            [states[i] for i in chosen] if states else None, progress,
        )  # fmt: skip
        for index, tokens in zip(chosen, written, strict=True):
            if tokens is not None:
                results[index] = tokenizer.decode(tokens, skip_special_tokens=True)
    return results


def _decode_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    settings: SamplingSettings,
    seeds: list[Seed],
    states: list[DecodingState] | None,
    progress: Callable[[int], None] | None,
) -> list[list[int] | None]:
    device = model.device
    end = states[0].end if states else tokenizer.eos_token_id
    uniform = np.stack(
        [np.random.default_rng(seed).random(settings.max_new_tokens) for seed in seeds]
    )
    ids, mask = _left_padded(prompts, tokenizer.pad_token_id or 0, device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    longest = settings.max_new_tokens
    if states is not None:
        longest = min(longest, max(state.longest for state in states))
    cache = cache_for(model.config, ids.shape[1] + longest)
    output = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
        use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    written: list[list[int]] = [[] for _ in prompts]
    results: list[list[int] | None] = [None] * len(prompts)
    rows: np.ndarray = np.arange(len(prompts))  # which prompt each row of the batch writes
    position = positions[:, -1]
    for step in range(settings.max_new_tokens):
        logits = output.logits[:, -1].float()
        draws = torch.as_tensor(uniform[rows, step], dtype=torch.float32, device=device)
        present = None if states is None else [states[row] for row in rows]
        tokens = _draw(logits, present, settings, draws)
        going = []
        for place, token in enumerate(tokens.tolist()):
            row = rows[place]
            if states is not None:
                states[row].advance(token)
            if token == end:
                results[row] = written[row]
            else:
                written[row].append(token)
                going.append(place)
        if progress is not None and len(going) < len(rows):
            progress(len(rows) - len(going))
        if not going or step + 1 == settings.max_new_tokens:
            break
        if len(going) < len(rows):
            index = torch.tensor(going, device=device)
            cache.batch_select_indices(index)
            rows, tokens, mask, position = rows[going], tokens[index], mask[index], position[index]
        position = position + 1
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
        output = model(
            input_ids=tokens[:, None], attention_mask=mask, position_ids=position[:, None],
            past_key_values=cache, use_cache=True,
        )  # fmt: skip
    return results


def _draw(
    logits: Tensor, states: list[DecodingState] | None, settings: SamplingSettings, uniform: Tensor
) -> Tensor:
    """The next token of each text (B,), from logits (B, V) and uniform numbers (B,)."""
    if states is None:
        return pick(*nucleus(logits, settings.temperature, settings.top_p), uniform)
    choices, blank = _choices(states, logits.device)  # few, so that sorting them is cheap
    scores = logits.gather(1, choices).masked_fill(blank, float("-inf"))
    places = pick(*nucleus(scores, settings.temperature, settings.top_p), uniform)
    return choices.gather(1, places[:, None])[:, 0]


def _choices(states: list[DecodingState], device: torch.device) -> tuple[Tensor, Tensor]:
    """Allowed tokens (B, K) of each text, padded, and where they are only padding (B, K) bool."""
    allowed = [state.allowed() for state in states]
    counts = np.array([len(tokens) for tokens in allowed])
    filled = np.arange(counts.max()) < counts[:, None]
    choices = np.zeros(filled.shape, dtype=np.int64)
    choices[filled] = np.concatenate(allowed)
    return torch.from_numpy(choices).to(device), torch.from_numpy(~filled).to(device)


def _left_padded(prompts: list[list[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (B, T), prompts at the right end."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)
