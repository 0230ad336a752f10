"""Conventional cells of crystals that are symmetric up to file rounding."""

from __future__ import annotations

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.symmetry.conventional import conventional
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import find_symmetry
from flowllm.symmetry.normalizer import canonical
from flowllm.symmetry.operations import exact_operations

TOLERANCE = 0.01
"""Å; a crystal that is symmetric within it is written by its symmetry."""


def exact_symmetry(crystal: CrystalBatch, tolerance: float = TOLERANCE) -> SymmetricCrystal | None:
    """The symmetric crystal of a primitive cell within a tight tolerance, or None.

    There is none where the space group is P1, where a type is open, and where the cell given is not
    primitive within the tolerance, so that its translations would be lost.

    Args:
        crystal: a batch of one.
        tolerance: in Å.
    """
    if not crystal.num_atoms[0] or (crystal.atomic_numbers < 1).any():
        return None
    operations = exact_operations(crystal, tolerance)
    if operations is not None and len(operations.rotations) == 1:
        return None
    found = None if operations is None else conventional(crystal, operations, tolerance)
    if found is None:
        try:
            found = find_symmetry(crystal, tolerance)
        except InputError:
            return None
    if found.number == 1 or found.num_atoms != crystal.num_atoms[0]:
        return None
    return canonical(found)


def conventional_cells(crystals: CrystalBatch, tolerance: float = TOLERANCE) -> CrystalBatch:
    """The conventional cells of B crystals; unchanged without symmetry within the tolerance."""
    cells = []
    for crystal in crystals:
        found = exact_symmetry(crystal, tolerance)
        cells.append(crystal if found is None else found.to_conventional(str(crystal.ids[0])))
    return CrystalBatch.concatenate(cells)
