"""The network of one task on disk: config.json and model.safetensors."""

from __future__ import annotations

from pathlib import Path

from flowllm.errors import InputError, first_line
from flowllm.methods.base.shapes import check_shapes
from flowllm.methods.base.tasks import DNG
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.networks.diffcsp_settings import DiffCSPConfig
from flowllm.runs.files import CONFIG, load_weights, save_weights
from flowllm.runs.json_object import JsonObject
from flowllm.training.settings import Task

FORMAT = "flowllm-diffcsp"


def save_network(network: DiffCSPNet, folder: Path, half: bool = False) -> None:
    """Write the sizes and the weights.

    Args:
        network: of one task.
        folder: made if missing.
        half: keep the weights in float16 on disk; they are float32 again when loaded.
    """
    config = {"format": FORMAT, "version": 1, "network": network.config.to_dict()}
    save_weights(folder, network.state_dict(), config, half)


def load_network(folder: Path, task: Task) -> DiffCSPNet:
    """Read what `save_network` wrote.

    Raises:
        InputError: names the folder and what is wrong with it, the task among it.
    """
    weights, config = load_weights(folder)
    try:
        if config.get("format") != FORMAT or config.get("version") != 1:
            raise InputError(f"{CONFIG} does not describe a network of DiffCSP")
        sizes = JsonObject(config, CONFIG).record("network").make(DiffCSPConfig)
        if sizes.draws_species != (task == DNG):
            raise InputError(f"{CONFIG} describes a network for the other task, not for {task}")
        widths = (sizes.hidden, sizes.time_dim, sizes.edge_features, sizes.cell_inputs)
        check_shapes(weights, sizes.layers, widths, lambda: DiffCSPNet(sizes))
        network = DiffCSPNet(sizes)
        network.load_state_dict(weights)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: not a network of DiffCSP ({first_line(error)})") from error
    return network
