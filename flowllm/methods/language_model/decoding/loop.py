"""The decoding loop: texts of like length side by side, token by token.

Texts are sorted by the length that they can have, longest first, and finished rows
leave the batch, so short crystals do not wait for long ones; equal prompts stand together and
are passed over once. Each text draws by random numbers of its own: what it says does not depend on
which others are written beside it (to within the rounding of a batched matrix product).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.decoding.nucleus import Draw, draw, uniform_numbers
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache, fill
from flowllm.methods.language_model.settings import FEWEST_TOKENS, SamplingSettings
from flowllm.systems.decoding_figures import count
from flowllm.text.decoding_state import DecodingState, Restartable
from flowllm.text.encoding import encode_prompts

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

Seed = int | list[int]


@dataclass(frozen=True)
class Batch:
    """Texts that are written side by side.

    Attributes:
        positions: where they stand among all texts.
        prompts: their prompts' tokens, none empty.
        seeds: their seeds.
        states: their states at their beginning, used up by writing; None to write freely.
    """

    positions: list[int]
    prompts: list[list[int]]
    seeds: list[Seed]
    states: list[DecodingState] | None


@dataclass(frozen=True)
class Step:
    """One token of each text that is still being written.

    Attributes:
        rows: (B,) which text of the batch each row writes.
        logits: (B, V) float32, the model's.
        draw: what was drawn.
        ended: the tokens, without the end, of texts whose end was drawn, by their place in the
            batch.
    """

    rows: np.ndarray
    logits: Tensor
    draw: Draw
    ended: dict[int, list[int]]


def in_batches(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    states: Sequence[DecodingState] | None = None,
    lengths: Sequence[int] | None = None,
) -> Iterator[Batch]:
    """The texts sorted by length and cut into batches.

    Args:
        tokenizer: encodes the prompts.
        prompts: P prompts.
        settings: how many stand side by side.
        seeds: P seeds.
        states: P states, or None.
        lengths: P numbers that rise with the lengths expected of the texts; by default the longest
            that the states allow.

    Raises:
        InputError: an empty prompt.
    """
    encoded = encode_prompts(tokenizer, prompts)
    for prompt, ids in zip(prompts, encoded, strict=True):
        if not ids:
            raise InputError(f"the prompt {prompt!r} is empty")
    if lengths is None:
        lengths = [state.longest for state in states] if states else [0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: (-lengths[i], len(encoded[i]), encoded[i]))
    for start in range(0, len(order), settings.batch_size):
        chosen = order[start : start + settings.batch_size]
        yield Batch(
            chosen, [encoded[i] for i in chosen], [seeds[i] for i in chosen],
            [states[i] for i in chosen] if states else None,
        )  # fmt: skip


@torch.inference_mode()
def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Batch,
    settings: SamplingSettings,
    before: Callable[[], None] = lambda: None,
    prefixes: PrefixCache | None = None,
) -> Generator[Step, None, None]:
    """Write the texts of a batch, a step a token, until all have ended or may not go on.

    Args:
        model: any causal language model.
        tokenizer: its tokenizer.
        batch: what to write.
        settings: how to draw.
        before: called before each pass of the model; what it raises ends the writing.
        prefixes: texts that prompts may begin with; what is written is kept there, of a text whose
            end can be drawn again what stays.
    """
    states, device = batch.states, model.device
    end = states[0].end if states else tokenizer.eos_token_id
    room = settings.max_new_tokens or FEWEST_TOKENS
    if states is not None:
        longest = max(state.longest for state in states)
        room = longest if settings.max_new_tokens is None else min(room, longest)
    uniform = np.stack([uniform_numbers(seed, room) for seed in batch.seeds])
    before()
    began = time.perf_counter()
    logits, cache, mask, position = _encode(model, batch.prompts, padding(tokenizer), prefixes)
    count(texts=len(batch.prompts))
    written: list[list[int]] = [[] for _ in batch.prompts]
    rows: np.ndarray = np.arange(len(batch.prompts))
    for step in range(room):
        draws = torch.as_tensor(uniform[rows, step], device=device)
        present = None if states is None else [states[row] for row in rows]
        drawn = draw(logits, present, settings, draws)
        tokens, going, ended = drawn.tokens, [], {}
        for place, (row, token) in enumerate(zip(rows.tolist(), tokens.tolist(), strict=True)):
            if states is not None:
                states[row].advance(token)
            if token == end:
                ended[row] = written[row]
            else:
                written[row].append(token)
                going.append(place)
        if prefixes is not None and ended:
            at_end = [place for place, row in enumerate(rows.tolist()) if row in ended]
            follows = end != tokenizer.eos_token_id  # behind a sentence, not behind a crystal
            texts = [_stays(batch, row, written[row], follows) for row in rows[at_end].tolist()]
            prefixes.keep(cache, mask, at_end, texts)
        count(tokens=len(rows), seconds=time.perf_counter() - began)
        yield Step(rows, logits, drawn, ended)
        if not going or step + 1 == room:
            break
        before()
        began = time.perf_counter()
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
        logits = output.logits[:, -1].float()
        count(passes=1, rows=len(rows), slots=len(batch.prompts))


def _stays(batch: Batch, row: int, written: list[int], follows: bool) -> list[int]:
    """The tokens with which a later prompt may begin, of one text that has ended; none for most."""
    state = batch.states[row] if batch.states else None
    if isinstance(state, Restartable):
        return [*batch.prompts[row], *state.tokens] if state.room < 1 else []
    return [*batch.prompts[row], *written] if follows else []


def _encode(
    model: PreTrainedModel, prompts: list[list[int]], pad: int, prefixes: PrefixCache | None
) -> tuple[Tensor, DynamicCache, Tensor, Tensor]:
    """One pass over the prompts, equal ones once, and over no beginning that is known.

    Returns:
        Logits (B, V) of the first token, the keys and values so far, attention mask (B, T) and the
        last position of each prompt (B,).
    """
    distinct = {prompt: place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    from transformers import DynamicCache

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
