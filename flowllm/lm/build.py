"""The compact language model: a small Llama-architecture model trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, set_seed

from flowllm.errors import InputError


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of the compact model.

    Attributes:
        hidden: width of the residual stream.
        layers: transformer blocks.
        heads: attention heads; must divide `hidden`.
        feed_forward: width inside the gated feed-forward blocks.
        context: the longest prompt and crystal together, in tokens.
    """

    hidden: int = 256
    layers: int = 6
    heads: int = 8
    feed_forward: int = 704
    context: int = 512

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "heads", "feed_forward", "context"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise InputError(f"{self.heads} heads do not divide hidden {self.hidden} evenly")


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
