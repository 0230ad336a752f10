"""The space groups of crystals as operations that constrain a flow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import spglib
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.manifolds import SymmetryOperations

HALVINGS = 6  # of the tolerance, until the operations take atoms to atoms one to one


class _Group(NamedTuple):
    rotations: np.ndarray  # (k, 3, 3)
    translations: np.ndarray  # (k, 3)
    images: np.ndarray  # (k, n)


def operations_of(crystals: CrystalBatch, symprec: float) -> SymmetryOperations:
    """The operations of the space groups that spglib finds in B crystals.

    They are those of spglib's table, so they form a group exactly, where the crystal has the
    symmetry only within the tolerance. Where a tolerance makes one atom of two, it is halved;
    a crystal without symmetry has the identity.

    Args:
        crystals: B crystals.
        symprec: tolerance in Å.
    """
    size = int(crystals.num_atoms.max(initial=0))
    groups = [_group(crystal, symprec) for crystal in crystals]
    counts = [len(group.rotations) for group in groups]
    images = np.tile(np.arange(size), (sum(counts), 1))
    for group, start in zip(groups, np.cumsum([0, *counts[:-1]]), strict=True):
        images[start : start + len(group.images), : group.images.shape[1]] = group.images
    return SymmetryOperations(
        torch.from_numpy(np.repeat(np.arange(len(groups)), counts)),
        torch.from_numpy(np.concatenate([group.rotations for group in groups])),
        torch.from_numpy(np.concatenate([group.translations for group in groups])),
        torch.from_numpy(images),
    )


def _group(crystal: CrystalBatch, symprec: float) -> _Group:
    lattice, coords = crystal.lattices[0], crystal.frac_coords
    numbers = crystal.atomic_numbers
    cell = (lattice.tolist(), coords.tolist(), numbers.tolist())
    for halvings in range(HALVINGS + 1):
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=symprec / 2**halvings)
        except Exception:  # newer versions of spglib raise where older ones return None
            found = None
        if found is None:
            continue
        rotations = found.rotations.astype(np.float64)
        images = _images(rotations, found.translations, lattice, coords, numbers)
        if images is not None:
            return _Group(rotations, found.translations, images)
    alone = np.arange(len(coords))[None]
    return _Group(np.eye(3)[None], np.zeros((1, 3)), alone)


def _images(
    rotations: np.ndarray,
    translations: np.ndarray,
    lattice: np.ndarray,
    coords: np.ndarray,
    numbers: np.ndarray,
) -> np.ndarray | None:
    """(k, n) the nearest atom of the same element for each image; None if two share one."""
    moved = np.einsum("kij,nj->kni", rotations, coords) + translations[:, None]
    apart = moved[:, :, None] - coords
    apart -= np.round(apart)
    distances = np.linalg.norm(apart @ lattice, axis=-1)
    distances[:, numbers[:, None] != numbers[None, :]] = np.inf
    images = distances.argmin(-1)
    one_to_one = (np.sort(images, axis=1) == np.arange(len(coords))).all()
    return images if one_to_one else None
