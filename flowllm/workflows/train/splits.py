"""Training data from a data set: its splits and cell sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowllm.data import CrystalSet, load_dataset
from flowllm.data.sources import SPLITS
from flowllm.errors import InputError
from flowllm.training.ranks import from_main, process_count


def training_splits(data: str | Path) -> tuple[CrystalSet, CrystalSet]:
    """The training and validation splits.

    One's own data without a split "val" give every twentieth crystal for it. Of several processes
    one prepares what must be prepared.

    Raises:
        InputError: no such data, or too few to hold any out.
    """
    if process_count() > 1:
        from_main(lambda: _splits(data) and None)
    return _splits(data)


def _splits(data: str | Path) -> tuple[CrystalSet, CrystalSet]:
    train = load_dataset(data, "train")
    if str(data) in SPLITS or (Path(data) / "val.npz").is_file():
        return train, load_dataset(data, "val")
    if len(train) < 2:
        raise InputError(f"{data} holds {len(train)} crystals; training needs at least 2")
    held_out = np.arange(len(train)) % 20 == min(19, len(train) - 1)
    return train[~held_out], train[held_out]


def num_atoms_histogram(data: CrystalSet) -> list[int]:
    """How many crystals have 1, 2, … atoms in the cell, up to the largest allowed."""
    return np.bincount(data.crystals.num_atoms, minlength=data.max_atoms + 1)[1:].tolist()
