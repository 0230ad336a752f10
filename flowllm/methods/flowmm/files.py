"""The network of one task on disk: config.json and model.safetensors."""

from __future__ import annotations

from pathlib import Path

import torch

from flowllm.errors import InputError, first_line
from flowllm.methods.base.tasks import DNG, Task
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flowmm.velocity import OpenCrystalVelocity
from flowllm.networks.flowmm import FlowMMNet
from flowllm.networks.flowmm_settings import FlowMMConfig
from flowllm.runs.files import CONFIG, WEIGHTS, load_weights, save_weights
from flowllm.runs.json_object import JsonObject

FORMAT = "flowllm-flowmm"


def save_velocity(velocity: OpenCrystalVelocity, folder: Path, half: bool = False) -> None:
    """Write the sizes and statistics, and the weights.

    Args:
        velocity: the network.
        folder: made if missing.
        half: keep the weights in float16 on disk; they are float32 again when loaded.
    """
    config = {
        "format": FORMAT,
        "version": 1,
        "network": velocity.net.config.to_dict(),
        "statistics": velocity.statistics.to_dict(),
    }
    save_weights(folder, velocity.net.state_dict(), config, half)


def load_velocity(folder: Path, task: Task) -> OpenCrystalVelocity:
    """Read what `save_velocity` wrote.

    Raises:
        InputError: names the folder and what is wrong with it, the task among it.
    """
    weights, config = load_weights(folder)
    try:
        if config.get("format") != FORMAT or config.get("version") != 1:
            raise InputError(f"{CONFIG} does not describe a network of FlowMM")
        sizes = JsonObject(config, CONFIG).record("network").make(FlowMMConfig)
        if sizes.draws_species != (task == DNG):
            raise InputError(f"{CONFIG} describes a network of the other task, not of {task}")
        statistics = FlowStatistics.from_dict(config.get("statistics"))
        _check_sizes(sizes, weights)
        velocity = OpenCrystalVelocity(sizes, statistics)
        velocity.net.load_state_dict(weights)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: not a network of FlowMM ({first_line(error)})") from error
    return velocity


def _check_sizes(config: FlowMMConfig, weights: dict[str, torch.Tensor]) -> None:
    """Compare weights with a network of these sizes; nothing large is built."""
    largest = max((max(value.shape, default=0) for value in weights.values()), default=0)
    sizes = (config.hidden, config.time_dim, config.count_dim, config.edge_features)
    if config.layers > len(weights) or max(*sizes, config.cell_inputs) > largest:
        raise InputError(f"{CONFIG} names a larger network than {WEIGHTS} holds")
    with torch.device("meta"):  # shapes without memory
        expected = {n: tuple(v.shape) for n, v in FlowMMNet(config).state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{WEIGHTS}: {name} is {found.get(name)}, by {CONFIG} {expected.get(name)}"
            )
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise InputError(f"{WEIGHTS}: {broken[0]} holds a value that is not finite")
