"""Continuous batching by transformers: whenever a text ends, the next one takes its place.

On a GPU a pass costs nearly the same for one row as for many, so a batch that runs empty wastes
most of it, and the lengths of free texts are not known beforehand. transformers keeps a cache in
pages and fills free places at once. Its own sampling has one seed for all; here each token is drawn
by `decoding.nucleus` with the random numbers of its text, as in our own loop: so both write the
same texts, to within rounding.

Tested on a CPU, where it is slower than our loop; not run on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import (
    ContinuousBatchingConfig,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.logits_process import LogitsProcessorList

from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.loop import Seed, in_batches
from flowllm.methods.language_model.decoding.nucleus import nucleus, pick, uniform_numbers
from flowllm.methods.language_model.settings import FEWEST_TOKENS, SamplingSettings
from flowllm.systems.decoding_figures import count

PAGE = 32  # tokens of a page of the cache on a processor
WAIT = 1.0  # seconds between looks at whether the generation still runs


class SeededDraw(ContinuousBatchingLogitsProcessor):
    """Leaves of the logits only the token that the text's own random number draws.

    Args:
        settings: temperature and nucleus.
        prompts: length of the prompt, by the name of the request.
        uniform: (tokens,) random numbers, by the name of the request.
    """

    supported_kwargs: ClassVar[dict[str, type]] = {}
    ignored_kwargs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, settings: SamplingSettings, prompts: dict[str, int], uniform: dict[str, np.ndarray]
    ) -> None:
        self.settings, self.prompts, self.uniform = settings, prompts, uniform

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """Of places without a text."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        """The random number of each text's next token, as int32 of the same bits."""
        numbers = np.zeros(len(requests_with_new_token), dtype=np.float32)
        for row, request in enumerate(requests_with_new_token):
            state = request.state
            own = self.uniform.get(state.request_id)
            if own is not None:  # requests that only warm up have none
                written = state.position_offset - self.prompts[state.request_id]
                numbers[row] = own[min(max(written, 0), len(own) - 1)]
        return torch.from_numpy(numbers).view(torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        """Scores (B, V) with 0 at the token drawn and minus infinity elsewhere."""
        numbers = tensor_arg[: len(scores)].view(torch.float32)
        ranked = nucleus(scores, self.settings.temperature, self.settings.top_p)
        tokens = pick(*ranked, numbers)
        return torch.full_like(scores, float("-inf")).scatter(1, tokens[:, None], 0.0)


def decode_continuously(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: SamplingSettings,
    seeds: Sequence[Seed],
    progress: Callable[[int], None] | None = None,
    batching: ContinuousBatchingConfig | None = None,
) -> list[str | None]:
    """What `decoding.decode` gives without states, by transformers' continuous batching.

    Args:
        model: a causal language model whose attention is sdpa, eager or flash.
        tokenizer: its tokenizer.
        prompts: P prompts.
        settings: how to draw; `batch_size` is the most texts at a time.
        seeds: P seeds.
        progress: called with the number of texts that have just been finished.
        batching: sizes of the cache and the like; by default what fits into a GPU's memory, and
            what the texts need on a processor.

    Returns:
        A text for each prompt, None where no end came in time.

    Raises:
        InputError: an empty prompt, or the generation broke off.
    """
    if not prompts:
        return []
    (batch,) = in_batches(tokenizer, prompts, SamplingSettings(batch_size=len(prompts)), seeds)
    names = [f"text-{position}" for position in batch.positions]
    lengths = {name: len(ids) for name, ids in zip(names, batch.prompts, strict=True)}
    uniform = {
        name: uniform_numbers(seed, (settings.max_new_tokens or FEWEST_TOKENS))
        for name, seed in zip(names, batch.seeds, strict=True)
    }
    chooser, began = SeededDraw(settings, lengths, uniform), time.perf_counter()
    written = _written(
        model, tokenizer, batch.prompts, names, settings, chooser, progress, batching
    )
    count(
        texts=len(names), prompt_tokens=sum(lengths.values()),
        tokens=sum(map(len, written.values())), seconds=time.perf_counter() - began,
    )  # fmt: skip
    results: list[str | None] = [None] * len(prompts)
    for position, name in zip(batch.positions, names, strict=True):
        tokens = written[name]
        if tokens[-1:] == [tokenizer.eos_token_id]:
            results[position] = tokenizer.decode(tokens[:-1], skip_special_tokens=True)
    return results


def _written(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    names: list[str],
    settings: SamplingSettings,
    chooser: SeededDraw,
    progress: Callable[[int], None] | None,
    batching: ContinuousBatchingConfig | None,
) -> dict[str, list[int]]:
    """The tokens of each text, its end among them, by the name of the request."""
    generation = GenerationConfig(
        do_sample=True,  # of one token that is left
        max_new_tokens=(settings.max_new_tokens or FEWEST_TOKENS),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    batching = batching or _room(model, prompts, settings)
    written: dict[str, list[int]] = {}
    attention = model.config._attn_implementation
    with torch.random.fork_rng():  # the manager seeds torch's generators
        manager = model.init_continuous_batching(generation, batching)
        manager.logit_processor = _only(chooser)
        try:
            manager.warmup()
            manager.start()
            for name, ids in zip(names, prompts, strict=True):
                manager.add_request(ids, name, (settings.max_new_tokens or FEWEST_TOKENS))
            while len(written) < len(names):
                result = manager.get_result(timeout=WAIT)
                if result is None:
                    if not manager.is_running():
                        raise InputError("the language model's continuous batching broke off")
                elif result.error is not None:
                    raise InputError(f"{result.request_id}: {result.error}")
                elif result.is_finished():
                    tokens = written[result.request_id] = list(result.generated_tokens)
                    if progress is not None and tokens[-1] == generation.eos_token_id:
                        progress(1)
        finally:
            manager.stop(block=True)
            manager.destroy()
            if model.config._attn_implementation != attention:
                model.set_attn_implementation(attention)
    return written


def _room(
    model: PreTrainedModel, prompts: list[list[int]], settings: SamplingSettings
) -> ContinuousBatchingConfig:
    """Sizes of the cache: transformers' own choice on a GPU, else so many pages as are needed."""
    if model.device.type == "cuda":
        return ContinuousBatchingConfig(max_requests_per_batch=settings.batch_size)
    rows = min(settings.batch_size, len(prompts))
    longest = max(map(len, prompts)) + (settings.max_new_tokens or FEWEST_TOKENS)
    return ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=rows * (longest // PAGE + 2),
        max_batch_tokens=max(longest, 4 * rows),
        max_requests_per_batch=rows,
    )


def _only(chooser: SeededDraw) -> ContinuousBatchingLogitsProcessorList:
    """A list of processors with nothing but this one, and room for its numbers."""
    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([chooser]))
    processors.tensors_required = 1
    return processors
