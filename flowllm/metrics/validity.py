"""Validity of structures and compositions (CDVAE, section 5; FlowMM and FlowLLM take it over).

A structure is valid when no two atoms come within 0.5 Å and the cell holds more than 0.1 Å^3.
The papers' code leaves out the distance between an atom and its own periodic images
(`self_images=False`), so cells thinner than an atom pass there; give both where they differ.
"""

from __future__ import annotations

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import shortest_distances
from flowllm.metrics.composition import (
    PAPERS_SETTINGS,
    SmactSettings,
    compositional_validity,
    is_valid_composition,
)

__all__ = [
    "MIN_DISTANCE",
    "MIN_VOLUME",
    "PAPERS_SETTINGS",
    "SmactSettings",
    "compositional_validity",
    "is_valid_composition",
    "structural_faults",
    "structural_validity",
]

MIN_DISTANCE = 0.5  # Å
MIN_VOLUME = 0.1  # Å^3


def structural_validity(crystals: CrystalBatch, self_images: bool = True) -> np.ndarray:
    """(B,) bool: distances above 0.5 Å and a volume above 0.1 Å^3.

    Args:
        crystals: B crystals; a cell that spans no volume, or one without atoms, is invalid.
        self_images: count the distance between an atom and its own periodic images; without, the
            papers' convention.
    """
    distances = shortest_distances(crystals, MIN_DISTANCE, self_images)
    return (distances > MIN_DISTANCE) & (crystals.volumes > MIN_VOLUME) & (crystals.num_atoms > 0)


def structural_faults(crystals: CrystalBatch, self_images: bool = True) -> list[str]:
    """Per crystal why its structure is invalid; empty if it is valid."""
    distances = shortest_distances(crystals, MIN_DISTANCE, self_images)
    faults = []
    for count, volume, distance in zip(
        crystals.num_atoms, crystals.volumes, distances, strict=True
    ):
        if not count:
            faults.append("no atoms")
        elif volume <= 0 or np.isnan(distance):
            faults.append("the cell has zero volume")
        elif volume <= MIN_VOLUME:
            faults.append(f"volume {volume:.3f} Å^3")
        elif distance <= MIN_DISTANCE:
            faults.append(f"atoms {distance:.2f} Å apart")
        else:
            faults.append("")
    return faults
