"""Dropout for a model whose architecture has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel


@contextmanager
def residual_dropout(model: PreTrainedModel, share: float) -> Iterator[None]:
    """Apply dropout to the output of each attention and feed-forward block, in training mode.

    Args:
        model: of the Llama architecture; others have dropout of their own.
        share: in [0, 1); 0 changes nothing.

    Raises:
        ValueError: the model has no such blocks.
    """

    def drop(module: nn.Module, _: tuple[object, ...], output: Tensor) -> Tensor:
        return functional.dropout(output, share, module.training)

    blocks = [
        module
        for name, module in model.named_modules()
        if name.endswith((".self_attn.o_proj", ".mlp.down_proj"))
    ]
    if share and not blocks:
        raise ValueError("dropout needs a model of the Llama architecture")
    handles = [block.register_forward_hook(drop) for block in blocks if share]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
