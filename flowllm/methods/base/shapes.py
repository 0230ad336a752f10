"""Weights of a file compared with the network that its configuration describes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from flowllm.errors import InputError
from flowllm.runs.files import CONFIG, WEIGHTS


def check_shapes(
    weights: Mapping[str, torch.Tensor],
    layers: int,
    widths: Iterable[int],
    build: Callable[[], nn.Module],
) -> None:
    """Compare weights with a network; nothing large is built.

    Args:
        weights: name -> tensor, as read.
        layers: number of layers by the configuration; each has a tensor at least.
        widths: sizes by the configuration that an axis of some tensor has, or more.
        build: makes the network of the configuration.

    Raises:
        InputError: the shapes differ, or a value is not finite.
    """
    largest = max((max(value.shape, default=0) for value in weights.values()), default=0)
    if layers > len(weights) or max(widths) > largest:
        raise InputError(f"{CONFIG} describes a larger network than {WEIGHTS} contains")
    with torch.device("meta"):  # shapes without memory
        expected = {name: tuple(value.shape) for name, value in build().state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{WEIGHTS}: {name} is {found.get(name)}, but {expected.get(name)} by {CONFIG}"
            )
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise InputError(f"{WEIGHTS}: {broken[0]} holds a value that is not finite")
