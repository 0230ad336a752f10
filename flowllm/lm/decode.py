"""Batched sampling from a causal language model with a key-value cache.

Texts of like length are sampled together and finished rows leave the batch, so short crystals do
not wait for long ones. Each text has a seed of its own: what it draws does not depend on which
others are sampled beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from flowllm.errors import InputError
from flowllm.text.constraints import CompositionRule, CrystalState, TokenTable


@dataclass(frozen=True)
class SamplingSettings:
    """How texts are drawn.

    Attributes:
        temperature: logits are divided by it; below 1 the likely becomes likelier.
        top_p: nucleus; only the likeliest tokens that add up to this probability are drawn.
        noise: standard deviation of Gaussian noise on the sampled values, in each value's own unit
            (fractional, Å, degrees).
        batch_size: texts at a time.
        max_new_tokens: a text that has not ended by then is cut and rejected.

    Raises:
        InputError: a value out of its range.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    noise: float = 0.0
    batch_size: int = 256
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature must be above 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be in (0, 1], not {self.top_p}")
        if not self.noise >= 0:
            raise InputError(f"noise must be at least 0, not {self.noise}")
        for name in ("batch_size", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")


def nucleus(logits: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities (B, V), likeliest first and cut to the nucleus, and the tokens they belong to.

    The nucleus is the smallest set of the likeliest tokens whose probabilities reach `top_p`; the
    likeliest is always in it.
    """
    probabilities, tokens = torch.softmax(logits / temperature, -1).sort(-1, descending=True)
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
    seeds: Sequence[int],
    rules: Sequence[CompositionRule] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[str | None]:
    """One text for each prompt, None where no end came in time.

    Args:
        model: any causal language model.
        tokenizer: its tokenizer; the compact one where `rules` are given.
        prompts: P prompts.
        settings: how to draw.
        seeds: P seeds.
        rules: P rules that constrain the decoding, or None to let the model write freely.
        progress: called with the number of texts that have just been finished.
    """
    model.eval()
    encoded = tokenizer(list(prompts), add_special_tokens=True)["input_ids"] if prompts else []
    table = TokenTable(tokenizer) if rules is not None else None
    sizes = [_expected_size(rules[i]) if rules else 0 for i in range(len(prompts))]
    order = sorted(range(len(prompts)), key=lambda i: (sizes[i], len(encoded[i])))
    results: list[str | None] = [None] * len(prompts)
    for start in range(0, len(order), settings.batch_size):
        chosen = order[start : start + settings.batch_size]
        states = [CrystalState(table, rules[i]) for i in chosen] if rules and table else None
        written = _decode_batch(
            model, tokenizer, [encoded[i] for i in chosen], settings,
            [seeds[i] for i in chosen], states, progress,
        )  # fmt: skip
        for index, tokens in zip(chosen, written, strict=True):
            if tokens is not None:
                results[index] = tokenizer.decode(tokens, skip_special_tokens=True)
    return results


def _expected_size(rule: CompositionRule) -> int:
    if rule.compositions is not None:
        return max(sum(c.values()) for c in rule.compositions)
    return rule.num_atoms or rule.max_atoms


def _decode_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    settings: SamplingSettings,
    seeds: list[int],
    states: list[CrystalState] | None,
    progress: Callable[[int], None] | None,
) -> list[list[int] | None]:
    device, end = model.device, tokenizer.eos_token_id
    uniform = np.stack(
        [np.random.default_rng(seed).random(settings.max_new_tokens) for seed in seeds]
    )
    ids, mask = _left_padded(prompts, tokenizer.pad_token_id or 0, device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    output = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
        use_cache=True, logits_to_keep=1,
    )  # fmt: skip
    written: list[list[int]] = [[] for _ in prompts]
    results: list[list[int] | None] = [None] * len(prompts)
    rows = np.arange(len(prompts))  # which prompt each row of the batch writes
    position = positions[:, -1]
    for step in range(settings.max_new_tokens):
        logits = output.logits[:, -1].float()
        if states is not None:
            logits = logits.masked_fill(_forbidden(states, rows, logits), float("-inf"))
        draws = torch.as_tensor(uniform[rows, step], dtype=torch.float32, device=device)
        tokens = pick(*nucleus(logits, settings.temperature, settings.top_p), draws)
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
        if not going:
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


def _forbidden(states: list[CrystalState], rows: np.ndarray, logits: Tensor) -> Tensor:
    """(B, V) bool, True where a token would leave the form or the composition asked for."""
    forbidden = np.ones(tuple(logits.shape), dtype=bool)
    for place, row in enumerate(rows):
        forbidden[place, states[row].allowed()] = False
    return torch.from_numpy(forbidden).to(logits.device)


def _left_padded(
    prompts: list[list[int]], pad: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (B, T), prompts at the right end."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)
