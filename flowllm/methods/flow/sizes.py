"""Check the sizes in a flow's config.json against its weights before anything is built."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from flowllm.errors import InputError
from flowllm.networks.cspnet import VelocityNet
from flowllm.networks.settings import VelocityConfig

Shape = tuple[int, ...]
NOT = "not a flow of FlowLLM of these sizes"


def check_sizes(config: VelocityConfig, shapes: Mapping[str, Shape]) -> None:
    """Check that a network of these sizes has exactly these weights; nothing large is built.

    Args:
        config: the sizes that are named.
        shapes: name -> shape of each weight that is there.

    Raises:
        InputError: they disagree.
    """
    largest = max((size for shape in shapes.values() for size in shape), default=0)
    sizes = (config.hidden, config.time_dim, config.num_types, config.edge_features)
    if config.layers > len(shapes) or max(*sizes, config.cell_inputs) > largest:
        raise InputError(f"{NOT}: config.json describes a larger network than the weights")
    with torch.device("meta"):  # shapes without memory
        expected = {n: tuple(v.shape) for n, v in VelocityNet(config).state_dict().items()}
    for name in sorted(expected.keys() ^ shapes.keys()):
        fault = "lack" if name in expected else "have an unexpected"
        raise InputError(f"{NOT}: by config.json the weights {fault} {name}")
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise InputError(f"{NOT}: {name} is {shapes[name]}, but {shape} by config.json")
