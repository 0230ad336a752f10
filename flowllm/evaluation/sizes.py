"""Crystals too large for an evaluation: marked in their rows, not evaluated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flowllm.inputs import Inputs

MOST_ATOMS = 1000
"""Atoms of a cell that is evaluated: one of 20,000 would take hours in nearly every stage."""


def without_largest(inputs: Inputs, most: int = MOST_ATOMS) -> Inputs:
    """The inputs, with cells of too many atoms marked as unreadable.

    Args:
        inputs: R inputs, B of them readable.
        most: atoms that a cell may have.
    """
    sizes = inputs.crystals.num_atoms
    kept = sizes <= most
    if kept.all():
        return inputs
    rows = np.flatnonzero(inputs.readable)[~kept]
    reasons = inputs.reasons.tolist()
    for row, size in zip(rows.tolist(), sizes[~kept].tolist(), strict=True):
        reasons[row] = f"{size:,} atoms in the cell, more than the {most:,} that are evaluated"
    readable = inputs.readable.copy()
    readable[rows] = False
    return replace(
        inputs,
        crystals=inputs.crystals[kept],
        readable=readable,
        reasons=np.array(reasons, dtype=np.str_),
        position=np.where(readable, np.cumsum(readable) - 1, -1).astype(np.int64),
    )
