"""The compact language model: a small Llama-architecture model trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, set_seed
from transformers.utils import logging

from flowllm.methods.language_model.settings import CompactConfig

__all__ = ["CompactConfig", "build_compact", "no_bars"]


def build_compact(
    tokenizer: PreTrainedTokenizerBase, config: CompactConfig, seed: int = 0
) -> LlamaForCausalLM:
    """A compact model with random weights; embeddings and output share one matrix."""
    set_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.context,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            attention_dropout=0.0,
        )
    )


@contextmanager
def no_bars() -> Iterator[None]:
    """Loading and saving without progress bars of transformers, for models this small."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
