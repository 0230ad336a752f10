"""A training that was paused: weights, their average and the optimizer in one file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from flowllm.runs.files import whole_file

PARTS = ("model", "average", "optimizer")


def save_state(
    file: Path,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    counts: dict[str, float],
) -> None:
    """Write a state, whole or not at all.

    Args:
        file: where to.
        model: what is trained.
        average: the moving average of its weights; None where there is none.
        optimizer: of the model's parameters.
        counts: steps and seconds so far.
    """
    tensors: dict[str, Tensor] = {f"model.{k}": v for k, v in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    # copies, because weights that share memory are not written
    flat = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with whole_file(file) as partial:
        save_file(flat, partial, metadata={name: repr(value) for name, value in counts.items()})


def load_state(
    file: Path,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
) -> dict[str, float]:
    """Read what `save_state` wrote into a model, its average and an optimizer of the same sizes.

    Returns:
        The counts.
    """
    found: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    with safe_open(file, framework="pt") as content:
        counts = {name: float(value) for name, value in content.metadata().items()}
        for key in content.keys():  # noqa: SIM118, this is not a dictionary
            part, _, name = key.partition(".")
            found[part][name] = content.get_tensor(key)
    model.load_state_dict(found["model"])
    if average is not None:
        average.load_state_dict(found["average"])
    state: dict[int, dict[str, Tensor | float]] = {}
    for key, value in found["optimizer"].items():
        index, _, name = key.partition(".")
        # MuonAdamW counts steps in a plain number, torch's AdamW in a tensor
        plain = value.ndim == 0 and not value.is_floating_point()
        state.setdefault(int(index), {})[name] = value.item() if plain else value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return counts
