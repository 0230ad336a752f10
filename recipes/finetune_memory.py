"""What fine-tuning a causal language model needs in memory and time, computed from its config.

Counted from the architecture itself (built without weights), so it holds for any model of
transformers: weights, adapter, gradients, the two moments of AdamW, and activations, which are
computed a second time where only the input of each block is kept (Chen et al., arXiv 1604.06174).
What a GPU needs besides (CUDA itself, fragmentation, buffers of communication) is left out: add
some GB a GPU.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig
from transformers.pytorch_utils import Conv1D

from flowllm.methods.language_model.finetune.settings import AdapterSettings

GB = 1e9
# bytes a weight: NF4 with doubly quantised scales (Dettmers et al., 2023), and int8
QUANTISED = {"4bit": 0.5 + 1 / 64 + 4 / (64 * 256), "8bit": 1.0}
MOMENTS = 2  # of AdamW, in float32

LLAMA2_7B = LlamaConfig(
    vocab_size=32_000,
    hidden_size=4096,
    intermediate_size=11_008,
    num_hidden_layers=32,
    num_attention_heads=32,
    max_position_embeddings=4096,
)
LLAMA2_70B = LlamaConfig(
    vocab_size=32_000,
    hidden_size=8192,
    intermediate_size=28_672,
    num_hidden_layers=80,
    num_attention_heads=64,
    num_key_value_heads=8,
    max_position_embeddings=4096,
)


@dataclass(frozen=True)
class Parameters:
    """Numbers of a model's weights.

    Attributes:
        blocks: in the matrices of attention and feed-forward, which quantisation holds in few bits.
        others: embeddings, norms and what ends the model.
        adapter: in the adapter.
    """

    blocks: int
    others: int
    adapter: int

    @property
    def base(self) -> int:
        """Of the model without its adapter."""
        return self.blocks + self.others


@dataclass(frozen=True)
class Memory:
    """Bytes of all processes together, but activations are those of one process."""

    weights: float
    adapter: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        """Bytes in all, for one process."""
        return sum(astuple(self))


@dataclass(frozen=True)
class Plan:
    """How a model is fine-tuned, as far as memory and time depend on it.

    Attributes:
        adapter: sizes of a LoRA adapter; None trains all weights.
        load_in: "4bit" or "8bit" for frozen weights, None for 16 bits.
        texts: that a process takes at once.
        length: of a text in tokens, prompt included.
        checkpointing: compute activations a second time.
        half: compute in 16 bits; else in float32, and frozen weights are then float32 too.
    """

    adapter: AdapterSettings | None = field(default_factory=AdapterSettings)
    load_in: str | None = None
    texts: int = 16
    length: int = 512
    checkpointing: bool = True
    half: bool = True


def count_parameters(
    config: PretrainedConfig, adapter: AdapterSettings | None = None
) -> Parameters:
    """Count the weights of a model that is never made.

    Args:
        config: of any causal language model that transformers knows.
        adapter: sizes of an adapter on all matrices of the blocks, A (rank, in) and B (out, rank).
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    blocks = narrow = 0
    for module in model.modules():
        if module is not head and isinstance(module, nn.Linear | Conv1D):
            blocks += module.weight.numel()
            narrow += sum(module.weight.shape)
    total = sum(parameter.numel() for parameter in model.parameters())
    return Parameters(blocks, total - blocks, narrow * adapter.rank if adapter else 0)


def training_memory(config: PretrainedConfig, plan: Plan) -> Memory:
    """What fine-tuning by `flowllm.methods.language_model.finetune.train` needs.

    Frozen weights are held in 16 bits, or in few (then what is not quantised in float32); trained
    ones in float32 with their gradients and moments in float32.
    """
    count = count_parameters(config, plan.adapter)
    if plan.adapter is None:
        weights, trained = 4.0 * count.base, count.base
    elif plan.load_in is not None:
        weights = QUANTISED[plan.load_in] * count.blocks + 4 * count.others
        trained = count.adapter
    else:
        weights, trained = (2.0 if plan.half else 4.0) * count.base, count.adapter
    return Memory(
        weights,
        4.0 * count.adapter,
        4.0 * trained,
        4.0 * MOMENTS * trained,
        activation_memory(config, plan),
    )


def activation_memory(config: PretrainedConfig, plan: Plan) -> float:
    """Bytes that the backward pass finds kept at its beginning, in one process.

    With checkpointing these are the inputs of the blocks, and one block's inside is added, which is
    computed again; else the inside of all. Counted for blocks of the Llama kind.
    """
    size = 2 if plan.half else 4
    text = config.get_text_config()
    tokens, hidden, layers = plan.texts * plan.length, text.hidden_size, text.num_hidden_layers
    inside = tokens * block_activations(config, plan) * size
    # logits, in float32 for the loss, and their softmax
    ends = tokens * text.vocab_size * (4 + 4 + (2 if plan.half else 0))
    kept = layers * tokens * hidden * size + inside if plan.checkpointing else layers * inside
    return kept + ends


def block_activations(config: PretrainedConfig, plan: Plan) -> float:
    """Numbers that a block of the Llama kind keeps for each token, in units of the compute type.

    Its two norms keep their input in float32, their output and, if they are trained, what they
    scale; attention keeps queries, keys, values and its output; the feed-forward its gate before
    and after the activation, the other branch and the product; adapters the inputs of B.
    """
    text = config.get_text_config()
    hidden, heads = text.hidden_size, text.num_attention_heads
    narrow = hidden * getattr(text, "num_key_value_heads", heads) // heads
    norms = 2 * hidden * ((2 if plan.half else 1) + 1 + (plan.adapter is None))
    attention = 2 * hidden + 2 * narrow
    feed_forward = 4 * (getattr(text, "intermediate_size", None) or 4 * hidden)  # GPT-2 has none
    beside = 7 * plan.adapter.rank if plan.adapter else 0
    return norms + attention + feed_forward + beside


def training_flops(config: PretrainedConfig, plan: Plan, tokens: float) -> float:
    """Floating-point operations of training on so many tokens (attention's own products left out).

    Two a weight and token in the forward pass, the same for the gradient of the activations, of the
    weights where they are trained, and for computing activations again (Kaplan et al., 2020).
    """
    count = count_parameters(config, plan.adapter)
    embedding = config.get_text_config().vocab_size * config.get_text_config().hidden_size
    active = count.base - (0 if config.tie_word_embeddings else embedding)
    passes = 2 + (plan.adapter is None) + plan.checkpointing
    return tokens * (2 * active * passes + 6 * count.adapter)


def table() -> str:
    """LLaMA-2 fine-tuned on MP-20 as in the paper, as a table in Markdown.

    10 epochs of 27,136 crystals, of 300 tokens with their prompts: a digit, blank, point or line
    break is at most one token, so a crystal of MP-20 has at most 202 on average. Hours are of an
    A100 (312 TFLOP/s in bfloat16) used to 40 %.
    """
    lines = [
        "| computed | weights | gradients, AdamW | activations, 8 texts | GPU hours |",
        "|---|---|---|---|---|",
    ]
    rows = (
        ("7B, LoRA", LLAMA2_7B, Plan(texts=8)),
        ("7B, LoRA, base in 4 bits", LLAMA2_7B, Plan(load_in="4bit", texts=8)),
        ("7B, all weights", LLAMA2_7B, Plan(adapter=None, texts=8)),
        ("70B, LoRA", LLAMA2_70B, Plan(texts=8)),
        ("70B, LoRA, base in 4 bits", LLAMA2_70B, Plan(load_in="4bit", texts=8)),
    )
    for name, config, plan in rows:
        need = training_memory(config, plan)
        learnt = need.gradients + need.optimizer
        hours = training_flops(config, plan, 10 * 27_136 * 300) / (0.4 * 312e12) / 3600
        sizes = (need.weights + need.adapter, learnt, need.activations)
        lines.append(
            f"| {name} | " + " | ".join(f"{x / GB:.1f} GB" for x in sizes) + f" | {hours:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
