"""From atoms to orbits: the conventional setting of a crystal, by spglib."""

from __future__ import annotations

import numpy as np
import spglib

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.errors import InputError
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.space_group import SpaceGroup, WyckoffPosition, space_group

SYMPREC = 0.1
"""Å; the tolerance with which the data's space groups were found."""
HALVINGS = 6
"""Of the tolerance, where a crystal has no orbits within it."""
Cell = tuple[list[list[float]], list[list[float]], list[int]]
ON_SITE = 0.02
"""Å that spglib's idealised atoms may lie off a Wyckoff position or an image, for rounding."""


def find_symmetry(crystal: CrystalBatch, symprec: float = SYMPREC) -> SymmetricCrystal:
    """The symmetric crystal of a batch of one within a tolerance.

    Atoms and cell are idealised: each atom is moved onto its Wyckoff position, at the mean of what
    its images say. Where the tolerance makes one atom of two, it is halved.

    Args:
        crystal: any cell of it.
        symprec: spglib's tolerance in Å.

    Raises:
        InputError: spglib finds nothing; the crystal is named.
    """
    for halvings in range(HALVINGS + 1):
        try:
            found = dataset_of(crystal, symprec / 2**halvings)
        except Exception:  # newer versions of spglib raise where older ones return None
            continue
        if found is None:
            continue
        group = space_group(found.number)
        numbers = np.asarray(found.std_types)
        orbits = _orbits(group, np.asarray(found.std_lattice), found.std_positions, numbers)
        if orbits is None or sum(p.atoms for _, p, _ in orbits) * group.points != len(numbers):
            continue
        lengths, angles = cell_parameters(np.asarray(found.std_lattice))
        lengths, angles = idealised_cell(group, lengths, angles)
        elements = np.array([element for element, _, _ in orbits])
        letters = tuple(position.letter for _, position, _ in orbits)
        coords = np.array([point for _, _, point in orbits])
        return SymmetricCrystal(group.number, lengths, angles, elements, letters, coords)
    raise InputError(f"{crystal.ids[0]}: no space group was found")


def idealised_cell(
    group: SpaceGroup, lengths: np.ndarray, angles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cells idealised to the crystal family: lengths (..., 3), angles (..., 3)."""
    lengths, angles = lengths.copy(), angles.copy()
    of = group.family
    if of == "cubic":
        lengths[...] = lengths.mean(-1, keepdims=True)
    elif of in ("tetragonal", "hexagonal"):
        lengths[..., :2] = lengths[..., :2].mean(-1, keepdims=True)
    if of == "monoclinic":
        angles[..., [0, 2]] = 90.0
    elif of != "triclinic":
        angles[...] = 90.0
        angles[..., 2] = 120.0 if of == "hexagonal" else 90.0
    return lengths, angles


def dataset_of(crystal: CrystalBatch, symprec: float) -> spglib.SpglibDataset | None:
    """spglib's result for a batch of one, in the setting of our tables; None if it fails.

    Newer versions of spglib raise an exception of theirs instead.
    """
    cell: Cell = (
        crystal.lattices[0].tolist(),
        crystal.frac_coords.tolist(),
        crystal.atomic_numbers.tolist(),
    )
    found = spglib.get_symmetry_dataset(cell, symprec=symprec)
    if found is None:
        return None
    hall = space_group(found.number).hall
    if found.hall_number != hall:
        found = spglib.get_symmetry_dataset(cell, symprec=symprec, hall_number=hall)
    return found


def _orbits(
    group: SpaceGroup, lattice: np.ndarray, coords: np.ndarray, numbers: np.ndarray
) -> list[tuple[int, WyckoffPosition, np.ndarray]] | None:
    """(element, position, representative) of each orbit; None if orbits are incomplete."""
    waiting = np.ones(len(coords), dtype=bool)
    orbits = []
    while waiting.any():
        first = int(np.flatnonzero(waiting)[0])
        images = group.rotations @ coords[first] + group.translations
        gaps = images[:, None] - coords[None]
        gaps -= np.round(gaps)
        distances = np.linalg.norm(gaps @ lattice, axis=-1)
        distances[:, numbers != numbers[first]] = np.inf
        nearest = distances.argmin(1)
        if distances.min(1).max() > 5 * ON_SITE:
            return None
        members = np.unique(nearest)
        if not waiting[members].all():
            return None
        waiting[members] = False
        found = position_of(group, lattice, coords[members])
        if found is None:
            return None
        orbits.append((int(numbers[first]), *found))
    return orbits


def position_of(
    group: SpaceGroup, lattice: np.ndarray, members: np.ndarray
) -> tuple[WyckoffPosition, np.ndarray] | None:
    """The Wyckoff position of an orbit, and the representative of the smallest coordinates.

    Args:
        group: the space group.
        lattice: (3, 3) of the conventional cell in Å.
        members: (m, 3) all atoms of the orbit in the conventional cell.

    Returns:
        The position, and (3,) a point exactly on its first triplet; None where nothing fits.
    """
    for position in group.positions.values():
        if position.multiplicity != len(members):
            continue
        values, misfits = position.fits(members)
        fitting = np.linalg.norm(misfits @ lattice, axis=-1) < ON_SITE
        if fitting.any():
            return position, position.place(smallest(values[fitting]))
    return None


def smallest(values: np.ndarray) -> np.ndarray:
    """(F,) the first of the rows (K, F) by their hundredths, 0.999 counting as 0."""
    steps = np.round(values * 100).astype(np.int64) % 100
    return values[np.lexsort(steps.T[::-1])[0]] if values.shape[1] else values[0]
