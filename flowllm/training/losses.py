"""The losses that a network returns, and their means over data it is not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def loss_parts(outputs: Any) -> dict[str, Tensor]:
    """Of a network's outputs, the scalars whose names end in `_loss`, without gradients."""
    if not isinstance(outputs, Mapping):
        return {}
    return {
        name: value.detach()
        for name, value in outputs.items()
        if name.endswith("_loss") and isinstance(value, Tensor) and value.ndim == 0
    }


@torch.no_grad()
def mean_losses(
    model: nn.Module, batches: Iterable[dict[str, Tensor]], device: torch.device | str
) -> dict[str, float]:
    """The loss and its parts, as means over the rows of all batches.

    Args:
        model: in evaluation mode; its forward returns a mapping with `loss` and parts `…_loss`.
        batches: arguments of the forward; the first tensor of a batch has one entry per row.
        device: where the model is.
    """
    totals: dict[str, float] = {}
    rows = 0
    for batch in batches:
        outputs = model(**{name: value.to(device) for name, value in batch.items()})
        count = len(next(iter(batch.values())))
        for name, value in {"loss": outputs["loss"], **loss_parts(outputs)}.items():
            totals[name] = totals.get(name, 0.0) + float(value) * count
        rows += count
    return {name: total / rows for name, total in totals.items()}
