"""The conventional setting of exactly symmetric crystals, cached by their operations.

In which way the operations of a primitive cell become those of a space group depends on nothing
else, so spglib is asked once for each set of operations. Not so in triclinic and monoclinic
crystals, whose conventional axes depend on the lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import dataset_of, idealised_cell, position_of
from flowllm.symmetry.operations import Operations
from flowllm.symmetry.space_group import TWENTY_FOURTHS, SpaceGroup, space_group

MONOCLINIC = 15  # the last space group whose axes are not fixed by its operations
OFF = 1e-3  # by which fractional translations may differ from what they should be
MOST = 4096  # sets of operations that are remembered


@dataclass(frozen=True)
class KnownSetting:
    """A transformation into the conventional setting, x' = P x + p.

    Attributes:
        group: the space group.
        matrix: (3, 3) P.
        shift: (3,) p.
    """

    group: SpaceGroup
    matrix: np.ndarray
    shift: np.ndarray


_SETTINGS: dict[bytes, KnownSetting | None] = {}


def conventional(
    crystal: CrystalBatch, operations: Operations, tolerance: float
) -> SymmetricCrystal | None:
    """An exactly symmetric crystal in its conventional setting, atoms averaged over images.

    None where spglib has to be asked for each crystal: it is triclinic or monoclinic, its
    operations have no usual translations, or spglib finds others.

    Args:
        crystal: a batch of one.
        operations: all that it has.
        tolerance: in Å, for spglib.
    """
    steps = operations.translations * TWENTY_FOURTHS
    whole = np.round(steps)
    if np.abs(steps - whole).max() > OFF * TWENTY_FOURTHS:
        return None
    whole %= TWENTY_FOURTHS
    key = np.concatenate([operations.rotations.ravel(), whole.ravel()]).astype(np.int8).tobytes()
    if key not in _SETTINGS:
        if len(_SETTINGS) >= MOST:
            _SETTINGS.clear()
        _SETTINGS[key] = _setting(crystal, operations, whole / TWENTY_FOURTHS, tolerance)
    setting = _SETTINGS[key]
    return None if setting is None else _described(crystal, operations, steps, setting)


def _setting(
    crystal: CrystalBatch, operations: Operations, translations: np.ndarray, tolerance: float
) -> KnownSetting | None:
    """The setting that spglib finds, if it has the same operations and fixed axes."""
    try:
        found = dataset_of(crystal, tolerance)
    except Exception:  # newer versions of spglib raise where older ones return None
        return None
    if found is None or found.number <= MONOCLINIC:
        return None
    group = space_group(found.number)
    matrix, shift = np.asarray(found.transformation_matrix), np.asarray(found.origin_shift)
    if len(group.rotations) != len(translations) * group.points:
        return None
    turns = matrix @ operations.rotations @ np.linalg.inv(matrix)
    moves = translations @ matrix.T + shift - turns @ shift
    for turn, move in zip(turns, moves, strict=True):
        same = (np.abs(group.rotations - turn) < OFF).all((1, 2))
        gaps = group.translations[same] - move
        if not (np.abs(gaps - np.round(gaps)) < OFF).all(1).any():
            return None
    return KnownSetting(group, matrix, shift)


def _described(
    crystal: CrystalBatch, operations: Operations, steps: np.ndarray, setting: KnownSetting
) -> SymmetricCrystal | None:
    group, numbers = setting.group, crystal.atomic_numbers
    lattice = np.linalg.inv(setting.matrix).T @ crystal.lattices[0]
    coords = _mean(crystal.frac_coords, operations, np.round(steps) / TWENTY_FOURTHS)
    coords = coords @ setting.matrix.T + setting.shift
    orbits = np.unique(np.sort(operations.images, 0)[0])  # the first atom of each
    points, letters = [], []
    for first in orbits.tolist():
        members = np.unique(operations.images[:, first])
        whole = (coords[members][:, None] + group.centring_vectors).reshape(-1, 3)
        found = position_of(group, lattice, whole)
        if found is None:
            return None
        letters.append(found[0].letter)
        points.append(found[1])
    lengths, angles = idealised_cell(group, *cell_parameters(lattice))
    elements = numbers[orbits]
    made = SymmetricCrystal(
        group.number, lengths, angles, elements, tuple(letters), np.array(points)
    )
    return made if made.num_atoms == len(numbers) else None


def _mean(coords: np.ndarray, operations: Operations, translations: np.ndarray) -> np.ndarray:
    """(n, 3) coordinates, each the mean over the operations that lead to it."""
    images = operations.images
    gaps = coords @ operations.rotations.transpose(0, 2, 1) + translations[:, None] - coords[images]
    moved: np.ndarray = np.zeros_like(coords)
    np.add.at(moved, images, gaps - np.round(gaps))
    return coords + moved / len(images)
