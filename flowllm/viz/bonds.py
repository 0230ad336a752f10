"""Bonds of a crystal, through the faces of its cell: from each cation to its shell of anions.

Hoppe's effective coordination number (Z. Kristallogr. 150 (1979), 23) says which anions belong to a
cation: each counts exp(1 - (l / l_av)^6), where l is its distance in units of the sum of covalent
radii and l_av the mean of these, weighted by the counts themselves. It needs no cut-off that fits
all bonds, follows distorted shells, and takes a millisecond where CrystalNN takes a third of a
second.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flowllm.crystals.distances import cell_heights

COUNTS = 0.1  # of an anion that still belongs to a shell; 1 for each in a regular one
FARTHEST = 1.35  # times the sum of the covalent radii, for ions
METALLIC = 1.12  # the same for metals among themselves, in a crystal of metals only
COVALENT = 1.2  # the same for nonmetals of nearly the same electronegativity
SHORTEST = 0.5  # Å; atoms nearer than this lie in each other
POLAR = 0.2  # Pauling; a nonmetal is the cation of one that is more electronegative by this
LARGE_SHELL = 8  # cations with more anions are not bonded where others have fewer
MOST_CELLS = 4  # to each side, of cells too flat for any crystal
ROUNDS = 6  # of the weighted mean; it changes by less than a percent afterwards


@dataclass(frozen=True)
class CrystalBonds:
    """Bonds (K) of one crystal, each from `start` in its own cell to `stop` in the cell `shift`.

    Attributes:
        start: (K,) int64, atoms, rising; of a cation and an anion the cation. Bonds between equals
            are there from both ends.
        stop: (K,) int64, the atoms that they reach.
        shift: (K, 3) int64, whole cells along a, b and c from `start` to `stop`, for fractional
            coordinates as they are given.
        shell: (K,) bool, whether it leads from a cation to an anion of its shell.
        metallic: (K,) bool, whether it is between metals.
    """

    start: np.ndarray
    stop: np.ndarray
    shift: np.ndarray
    shell: np.ndarray
    metallic: np.ndarray


def find_bonds(lattice: np.ndarray, frac_coords: np.ndarray, numbers: np.ndarray) -> CrystalBonds:
    """The bonds of one crystal.

    Args:
        lattice: (3, 3) Å, rows a, b, c.
        frac_coords: (N, 3).
        numbers: (N,) atomic numbers; an atom of number 0 has no bonds.
    """
    from ase.data import covalent_radii

    count = len(numbers)
    radii = np.where(numbers > 0, covalent_radii[numbers], 0.0)
    shift, length = _neighbours(lattice, frac_coords, FARTHEST * 2 * radii.max(initial=0.5))
    known = numbers > 0
    sums = radii[:, None] + radii
    # (N, N, S) in units of the sum of the radii, infinite where there is no bond
    ratio = length / np.where(sums > 0, sums, 1.0)[:, :, None]
    ratio[(length < SHORTEST) | ~(known[:, None] & known)[:, :, None]] = np.inf
    metal, pull = _kinds(numbers)
    stronger = pull[None, :] > pull[:, None] + POLAR
    ionic = ~metal[None, :] & (metal[:, None] | stronger)
    # of a carbonate, carbon is not an anion of the metal
    taken = ((ratio < METALLIC) & (~metal[:, None] & ~metal & stronger)[:, :, None]).any((1, 2))
    anions = ionic & ~taken[None, :]
    anions |= ionic & ~anions.any(1, keepdims=True)  # a metal that has nothing else
    shell = _shells(np.where(anions[:, :, None], ratio, np.inf))
    sizes = shell.sum((1, 2))
    if ((sizes > 0) & (sizes <= LARGE_SHELL)).any():
        shell[sizes > LARGE_SHELL] = False
    if metal[known].all():
        equal = ratio < METALLIC
    else:
        alike = ~metal[:, None] & ~metal & (np.abs(pull[:, None] - pull) <= POLAR)
        equal = (ratio < COVALENT) & alike[:, :, None]
    start, stop, image = np.nonzero(shell | equal)
    return CrystalBonds(
        start,
        stop,
        shift[start * count + stop, image],
        shell[start, stop, image],
        metal[start] & metal[stop],
    )


def _neighbours(
    lattice: np.ndarray, frac_coords: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shifts (N N, S, 3) of images, and their distances (N, N, S) in Å."""
    count = len(frac_coords)
    cells = np.ceil(reach / cell_heights(lattice[None])[0] + 0.5).astype(int)
    axes = [np.arange(-n, n + 1) for n in np.minimum(cells, MOST_CELLS)]
    images = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    gaps = (frac_coords[None] - frac_coords[:, None]).reshape(-1, 3)
    nearest = -np.round(gaps).astype(np.int64)
    vectors = ((gaps + nearest) @ lattice)[:, None] + images @ lattice
    return nearest[:, None] + images, np.linalg.norm(vectors, axis=-1).reshape(count, count, -1)


def _shells(ratio: np.ndarray) -> np.ndarray:
    """(N, N, S) bool: which anions count, for distances in units of the radii."""
    flat = np.minimum(ratio.reshape(len(ratio), -1), 1e3)
    mean = flat.min(1, initial=1e3, keepdims=True)
    for _ in range(ROUNDS):
        weight = np.exp(1 - np.minimum(flat / mean, 10) ** 6)
        mean = (weight * flat).sum(1, keepdims=True) / np.maximum(
            weight.sum(1, keepdims=True), 1e-9
        )
        mean = np.where(mean > 0, mean, 1e3)
    counts = np.exp(1 - np.minimum(flat / mean, 10) ** 6)
    return ((counts > COUNTS) & (flat < FARTHEST)).reshape(ratio.shape)


def _kinds(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) whether each is a metal, and (N,) Pauling's electronegativity."""
    pairs = [_kind(int(n)) for n in numbers]
    metal, pull = np.array(pairs, dtype=float).reshape(-1, 2).T
    return metal.astype(bool), pull


@lru_cache(maxsize=200)
def _kind(number: int) -> tuple[bool, float]:
    from pymatgen.core import Element

    if number <= 0:
        return False, 0.0
    element = Element.from_Z(number)
    with warnings.catch_warnings(action="ignore"):  # noble gases have none
        pull = float(element.X)
    return bool(element.is_metal), 0.0 if math.isnan(pull) else pull
