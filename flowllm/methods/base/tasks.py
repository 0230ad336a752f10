"""The two tasks, species generated or given, each with a network of its own.

Structure prediction (CSP) leaves species as they are; de novo generation (DNG) draws them. A
refiner of both takes the first for crystals whose species are all known and the second for crystals
whose species are all open.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.training.settings import Task

CSP: Task = "csp"
DNG: Task = "dng"


def rows_by_task(
    crystals: CrystalBatch, trained: Collection[str], label: str
) -> dict[Task, np.ndarray]:
    """Positions of the crystals of each task.

    Args:
        crystals: B crystals; atomic number 0 marks an open species.
        trained: the tasks that there are networks for.
        label: of the refiner, for messages.

    Returns:
        Task -> (b,) positions, of tasks that have any.

    Raises:
        InputError: a crystal has known and open species, or there is no network for its task.
    """
    is_open = np.zeros(len(crystals), dtype=np.int64)
    np.add.at(is_open, crystals.crystal_of_atom, crystals.atomic_numbers == 0)
    mixed = np.flatnonzero((is_open > 0) & (is_open < crystals.num_atoms))
    if len(mixed):
        raise InputError(f"{crystals.ids[mixed[0]]}: {label} takes all species or none, not some")
    found: dict[Task, np.ndarray] = {
        CSP: np.flatnonzero(is_open == 0), DNG: np.flatnonzero(is_open > 0)
    }  # fmt: skip
    found = {task: rows for task, rows in found.items() if len(rows)}
    for task in found:
        check_task(task, trained, label)
    return found


def check_task(task: Task, trained: Collection[str], label: str) -> None:
    """Refuse a task without a network.

    Args:
        task: structure prediction, of known species, or generation, of open ones.
        trained: the tasks that there are networks for.
        label: of the refiner, for messages.

    Raises:
        InputError: as said.
    """
    if task not in trained and task == CSP:
        raise InputError(f"{label} was trained to draw species: a composition cannot be requested")
    if task not in trained:
        raise InputError(f"{label} was trained for structure prediction: it needs a composition")
