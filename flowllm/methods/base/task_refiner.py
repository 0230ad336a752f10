"""Shared code of two-task refiners: networks, batches, folders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
from torch import nn

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.tasks import CSP, DNG, check_task, rows_by_task
from flowllm.runs.files import CONFIG
from flowllm.runs.identity import digest, weights_digest
from flowllm.training.device import resolve_device
from flowllm.training.settings import TASKS, Task

BATCH_ON_CPU, BATCH_ON_ACCELERATOR = 64, 1024
Network = TypeVar("Network", bound=nn.Module)


class TaskRefiner(ABC, Generic[Network]):
    """One or two trained networks: for crystals with given species, and for open ones.

    Args:
        networks: task -> network.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: there is no network.
    """

    label: str
    moves = frozenset({"species", "coords", "lattice"})

    def __init__(self, networks: Mapping[Task, Network], device: str = "cpu") -> None:
        if not networks:
            raise InputError(f"{self.label} needs a network for at least one task")
        self.device = resolve_device(device)
        self.networks: dict[Task, Network] = {
            task: networks[task].to(self.device).float().eval()
            for task in TASKS
            if task in networks
        }

    @staticmethod
    @abstractmethod
    def about(network: Network) -> Any:
        """What a network is, besides its weights."""

    @staticmethod
    @abstractmethod
    def load_network(folder: Path, task: Task) -> Network:
        """Read what `save_network` wrote."""

    @staticmethod
    @abstractmethod
    def save_network(network: Network, folder: Path, half: bool) -> None:
        """Write a network."""

    def check_species(self, are_open: bool) -> None:
        """Check that there is a network for open or for known species.

        Raises:
            InputError: there is none.
        """
        check_task(DNG if are_open else CSP, self.networks, self.label)

    def checked_rows(self, crystals: CrystalBatch) -> dict[Task, np.ndarray]:
        """Task -> positions of its crystals.

        Raises:
            InputError: a cell spans no volume, or there is no network for a crystal's species.
        """
        flat = np.flatnonzero(crystals.volumes <= 0)
        if len(flat):
            raise InputError(f"{crystals.ids[flat[0]]}: the cell has zero volume")
        return rows_by_task(crystals, self.networks, self.label)

    def batches(
        self, members: np.ndarray, num_atoms: np.ndarray, batch_size: int | None
    ) -> Iterator[np.ndarray]:
        """Positions of crystals, bucketed by size to reduce padding.

        Args:
            members: (b,) positions.
            num_atoms: (B,) of all crystals.
            batch_size: at most; None takes what suits the device.
        """
        preset = BATCH_ON_CPU if self.device.type == "cpu" else BATCH_ON_ACCELERATOR
        size = batch_size or preset
        order = members[np.argsort(num_atoms[members], kind="stable")]
        return (order[first : first + size] for first in range(0, len(order), size))

    # ---- files -----------------------------------------------------------------------------

    def digest(self) -> str:
        """A short hash of the weights and of what the networks are."""
        parts = []
        for task, network in self.networks.items():
            parts += [task, weights_digest(network, repr(self.about(network)))]
        return digest(*parts)

    def save(self, folder: Path, half: bool = False) -> None:
        """Write a folder for each task with a network: csp/, dng/.

        Args:
            folder: made if missing.
            half: keep the weights in float16 on disk; they are float32 again when loaded.
        """
        for task, network in self.networks.items():
            self.save_network(network, folder / task, half)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: names the folder and what is wrong with it.
        """
        found = [task for task in TASKS if (folder / task / CONFIG).is_file()]
        if not found:
            raise InputError(
                f"{folder} contains no network of {cls.label}, in {' or '.join(TASKS)}/"
            )
        return cls({task: cls.load_network(folder / task, task) for task in found}, device)
