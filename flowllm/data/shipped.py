"""Prepared data sets that ship with the package: MP-20, without network or CIF parsing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm.data.compact import read_split
from flowllm.data.dataset import CrystalSet
from flowllm.data.reduce import ReduceSettings
from flowllm.runs.json_object import JsonObject

ROOM = Path(__file__).parents[1] / "reference"
CRYSTALS = "crystals.npz"
DUPLICATES = "duplicates.json"
SHIPPED = ("mp_20",)
"""Names of the data sets that ship."""


def ships(source: str | Path, settings: ReduceSettings | None = None) -> bool:
    """Whether a data set ships, prepared by these settings."""
    return str(source) in SHIPPED and settings in (None, ReduceSettings())


def load_shipped(source: str | Path, split: str) -> CrystalSet:
    """A split of a data set that ships.

    Raises:
        InputError: it has no such split, or its file is damaged.
    """
    return read_split(ROOM / str(source) / CRYSTALS, split)


def in_training(crystals: CrystalSet, source: str | Path, split: str) -> np.ndarray:
    """(B,) bool: which crystals of a held-out split match a training crystal (StructureMatcher).

    Figures on how well a model predicts unseen crystals are better without them.

    Raises:
        InputError: the list is damaged, or does not hold the split.
    """
    known = JsonObject.read(ROOM / str(source) / DUPLICATES).record(split)
    return np.array([str(name) in known for name in crystals.crystals.ids], dtype=bool)


def shipped_digest(source: str | Path) -> str:
    """Short hex digest of the archive of a data set that ships."""
    content = (ROOM / str(source) / CRYSTALS).read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def with_shipped_energies(crystals: CrystalSet, source: str | Path, split: str) -> CrystalSet:
    """The set with the shipped energies above the hull; those of the table use an older hull."""
    shipped = load_shipped(source, split)
    values = dict(
        zip(shipped.crystals.ids.tolist(), shipped.properties["e_above_hull"].tolist(), strict=True)
    )
    found = [values.get(name, np.nan) for name in crystals.crystals.ids.tolist()]
    return replace(crystals, properties={**crystals.properties, "e_above_hull": np.array(found)})
