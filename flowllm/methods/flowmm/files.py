"""The network of one task on disk: config.json and model.safetensors."""

from __future__ import annotations

from pathlib import Path

from flowllm.errors import InputError, first_line
from flowllm.methods.base.shapes import check_shapes
from flowllm.methods.base.tasks import DNG
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flowmm.velocity import OpenCrystalVelocity
from flowllm.networks.flowmm import FlowMMNet
from flowllm.networks.flowmm_settings import FlowMMConfig
from flowllm.runs.files import CONFIG, load_weights, save_weights
from flowllm.runs.json_object import JsonObject
from flowllm.training.settings import Task

FORMAT = "flowllm-flowmm"


def save_velocity(network: OpenCrystalVelocity, folder: Path, half: bool = False) -> None:
    """Write the sizes and statistics, and the weights.

    Args:
        network: with its statistics.
        folder: made if missing.
        half: keep the weights in float16 on disk; they are float32 again when loaded.
    """
    config = {
        "format": FORMAT,
        "version": 1,
        "network": network.net.config.to_dict(),
        "statistics": network.statistics.to_dict(),
    }
    save_weights(folder, network.net.state_dict(), config, half)


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
            raise InputError(f"{CONFIG} describes a network for the other task, not for {task}")
        statistics = FlowStatistics.from_dict(config.get("statistics"))
        widths = (
            sizes.hidden,
            sizes.time_dim,
            sizes.count_dim,
            sizes.edge_features,
            sizes.cell_inputs,
        )
        check_shapes(weights, sizes.layers, widths, lambda: FlowMMNet(sizes))
        velocity = OpenCrystalVelocity(sizes, statistics)
        velocity.net.load_state_dict(weights)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: not a network of FlowMM ({first_line(error)})") from error
    return velocity
