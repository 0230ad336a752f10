"""Sampling one token per text from the model's probabilities and the allowed tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.seeds import Stream, key
from flowllm.text.decoding_state import DecodingState


@dataclass(frozen=True)
class Draw:
    """The tokens drawn for B texts, each from at most K choices.

    Attributes:
        tokens: (B,) the tokens.
        choices: (B, K) tokens that may stand there, padded.
        allowed: (B, K) which of them are not padding.
        probabilities: (B, K) likeliest first, 0 outside the nucleus.
        places: (B, K) which of the choices these probabilities belong to.
        place: (B,) which choice was drawn.
    """

    tokens: Tensor
    choices: Tensor
    allowed: Tensor
    probabilities: Tensor
    places: Tensor
    place: Tensor


def draw(
    logits: Tensor,
    states: Sequence[DecodingState] | None,
    settings: SamplingSettings,
    uniform: Tensor,
) -> Draw:
    """The next token of each text, from logits (B, V) and uniform numbers (B,) in [0, 1).

    Args:
        logits: the model's, of all tokens.
        states: B states that say which tokens may come; None for all.
        settings: temperature and nucleus.
        uniform: one number a text.
    """
    if states is None:
        choices = torch.arange(logits.shape[1], device=logits.device).expand_as(logits)
        scores, allowed = logits, torch.ones_like(logits, dtype=torch.bool)
    else:
        choices, allowed = _choices(states, logits.device)  # few, so that sorting them is cheap
        scores = logits.gather(1, choices).masked_fill(~allowed, float("-inf"))
    probabilities, places = nucleus(scores, settings.temperature, settings.top_p)
    place = pick(probabilities, places, uniform)
    tokens = choices.gather(1, place[:, None])[:, 0]
    return Draw(tokens, choices, allowed, probabilities, places, place)


def nucleus(logits: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities (B, V), likeliest first and cut to the nucleus, and the tokens they belong to.

    The nucleus is the smallest set of the likeliest tokens whose probabilities reach `top_p`; the
    likeliest is always in it. Logits of minus infinity are never drawn.
    """
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
    probabilities, tokens = torch.softmax(scaled, -1).sort(-1, descending=True)
    before = probabilities.cumsum(-1) - probabilities
    kept = torch.where(before < top_p, probabilities, 0.0)
    kept[..., 0] = probabilities[..., 0]  # a top_p below the least float32 counts as 0
    return kept / kept.sum(-1, keepdim=True), tokens


def pick(probabilities: Tensor, tokens: Tensor, uniform: Tensor) -> Tensor:
    """(B,) tokens where the cumulative probabilities pass the uniform numbers (B,) in [0, 1)."""
    place = (probabilities.cumsum(-1) <= uniform[:, None]).sum(-1)
    last = (probabilities > 0).sum(-1) - 1
    return tokens.gather(-1, torch.minimum(place, last)[:, None])[:, 0]


def uniform_numbers(seed: int | list[int], count: int) -> np.ndarray:
    """(count,) float32 numbers in [0, 1] by which a text draws its tokens, one after the other.

    Args:
        seed: of a crystal, or a key of `flowllm.seeds`.
        count: how many.
    """
    chosen = seed if isinstance(seed, list) else key(Stream.TEXT, seed)
    return np.random.default_rng(chosen).random(count).astype(np.float32)


def _choices(states: Sequence[DecodingState], device: torch.device) -> tuple[Tensor, Tensor]:
    """Allowed tokens (B, K) of each text, padded, and their mask (B, K) bool."""
    allowed = [state.allowed() for state in states]
    counts = np.array([len(tokens) for tokens in allowed])
    filled = np.arange(counts.max()) < counts[:, None]
    choices = np.zeros(filled.shape, dtype=np.int64)
    choices[filled] = np.concatenate(allowed)
    return torch.from_numpy(choices).to(device), torch.from_numpy(filled).to(device)
