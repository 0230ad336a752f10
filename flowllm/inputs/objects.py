"""Crystals in memory: batches, pymatgen structures, ASE atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.inputs.arrays import of_batch
from flowllm.inputs.rows import NAME, InputRows

if TYPE_CHECKING:
    from ase import Atoms


def from_python(source: Any) -> InputRows:
    """A batch, structures or atoms; ids are those that they carry, or their places."""
    if isinstance(source, CrystalBatch):
        return of_batch(source)
    if hasattr(source, "frac_coords") or hasattr(source, "get_atomic_numbers"):
        source = [source]  # a single structure would be taken for a list of its atoms
    found = InputRows([], [], CrystalBatch.empty())
    crystals = []
    for place, item in enumerate(source):
        known = getattr(item, "info", None) or getattr(item, "properties", None) or {}
        found.names.append(str(known.get("id", known.get("material_id", place))))
        try:
            crystals.append(_from_object(item))
            found.reasons.append("")
        except InputError as error:
            found.reasons.append(str(error).removeprefix(f"{NAME}: "))
    found.crystals = CrystalBatch.concatenate(crystals)
    return found


def _from_object(item: Any) -> CrystalBatch:
    if hasattr(item, "get_atomic_numbers"):
        return from_atoms(item)
    if not hasattr(item, "frac_coords"):
        raise InputError(f"{type(item).__name__} is no crystal")
    if not len(item):
        raise InputError("no atoms")
    return CrystalBatch.from_pymatgen([item], [NAME])


def from_atoms(atoms: Atoms) -> CrystalBatch:
    """A batch of one.

    Raises:
        InputError: no atoms, no cell or none with a volume, a coordinate that is not finite, or no
            elements.
    """
    if not len(atoms):
        raise InputError("no atoms")
    lattice = np.asarray(atoms.cell)
    if not abs(np.linalg.det(lattice)) > 0:  # positions in Å have no fractions of it
        raise InputError("no cell, or one that spans no volume")
    numbers = atoms.get_atomic_numbers()
    _check_numbers(numbers)
    coords = np.linalg.solve(lattice.T, atoms.get_positions().T).T
    if not np.isfinite(coords).all():
        raise InputError("a coordinate is not finite")
    lengths, angles = atoms.cell.lengths(), atoms.cell.angles()
    return CrystalBatch(
        numbers, coords, lengths, angles, np.array([len(numbers)]), np.array([NAME])
    )


def _check_numbers(numbers: np.ndarray) -> None:
    if (numbers == 0).any():
        raise InputError("an atom's type is open")
    wrong = numbers[(numbers < 0) | (numbers >= len(SYMBOLS))]
    if len(wrong):
        raise InputError(f"{wrong[0]} is no atomic number")
