"""The decoding loop: the texts of a batch together, token by token.

Finished rows leave the batch, so short crystals do not wait for long ones. Each text draws by
random numbers of its own: what it says does not depend on which others are written beside it (to
within the rounding of a batched matrix product).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from flowllm.methods.language_model.decoding.batches import Batch
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.decoding.nucleus import Draw, draw, uniform_numbers
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache
from flowllm.methods.language_model.decoding.prompt_pass import encode
from flowllm.methods.language_model.settings import FEWEST_TOKENS, SamplingSettings
from flowllm.systems.decoding_figures import count
from flowllm.text.decoding_state import Restartable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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


@torch.inference_mode()
def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Batch,
    settings: SamplingSettings,
    before: Callable[[], None] = lambda: None,
    prefixes: PrefixCache | None = None,
) -> Generator[Step, None, None]:
    """Write the texts of a batch, one token per step, until all have ended or must stop.

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
    logits, cache, mask, position = encode(model, batch.prompts, padding(tokenizer), prefixes)
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
    """The tokens of a finished text that later prompts may begin with; none for most."""
    state = batch.states[row] if batch.states else None
    if isinstance(state, Restartable):
        return [*batch.prompts[row], *state.tokens] if state.room < 1 else []
    return [*batch.prompts[row], *written] if follows else []
