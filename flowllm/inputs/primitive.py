"""Crystals of files in their primitive cells: conventional ones hold up to four times the atoms."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.crystals.primitive import niggli_cell, primitive_cell
from flowllm.inputs.items import NAME, ReadCrystal

EXACT = 0.01
"""Å that atoms may lie off a translation: of a conventional cell they lie off by its rounding."""
MOST_ATOMS = 1000  # of a cell that is looked at: each pair of atoms is


def in_primitive_cell(read: ReadCrystal) -> ReadCrystal:
    """The crystal in its Niggli-reduced primitive cell; unchanged if it already is.

    It also stays where no smaller cell can be looked for: it spans no volume, or is too large.
    """
    given = read.crystal
    if given.volumes[0] <= 0 or given.num_atoms[0] > MOST_ATOMS:
        return read
    try:
        lattice, numbers, coords = primitive_cell(
            given.lattices[0], given.atomic_numbers, given.frac_coords, EXACT
        )
        if len(numbers) == len(given.atomic_numbers):
            return read
        lattice, coords = niggli_cell(lattice, coords)
    except (ValueError, np.linalg.LinAlgError):
        return read
    lengths, angles = cell_parameters(lattice)
    crystal = CrystalBatch(
        numbers, coords, lengths[None], angles[None], np.array([len(numbers)]), np.array([NAME])
    )
    return ReadCrystal(crystal, read.remarks)
