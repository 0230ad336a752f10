"""Free sites: decoding keeps atoms from overlapping."""

from __future__ import annotations

import itertools

import numpy as np
from ase.data import covalent_radii

from flowllm.crystals.cells import lattice_matrices

CLOSEST_CONTACT = 0.6
"""Closest distance allowed, as a share of the sum of the covalent radii (Cordero et al., 2008).

In MP-20's training split the smallest is 0.67, in one crystal of a hundred it is below 0.74.
"""
_CORNERS = np.array(list(itertools.product((0, -1), repeat=3)))


class Sites:
    """The atoms of a crystal being written.

    Args:
        lengths: the cell's lengths in Å.
        angles: its angles in degrees.
    """

    def __init__(self, lengths: list[float], angles: list[int]) -> None:
        self.lattice = lattice_matrices(np.array([lengths]), np.array([angles], dtype=float))[0]
        self.corners = _CORNERS @ self.lattice
        self.coords: np.ndarray = np.zeros((0, 3))
        self.radii: np.ndarray = np.zeros(0)

    def add(self, atomic_number: int, coords: list[float]) -> None:
        """Put an atom at fractional coordinates."""
        self.coords = np.vstack([self.coords, coords])
        self.radii = np.append(self.radii, covalent_radii[atomic_number])

    def clearance(self, atomic_number: int, trial: np.ndarray) -> np.ndarray:
        """(K,) closest distance over sum of covalent radii, at fractional coordinates (K, 3).

        Looks at the eight images around the trial's place in the cell, the nearest of which is the
        nearest of all in reduced cells but for rare ones. Infinite in an empty cell.
        """
        if not len(self.coords):
            return np.full(len(trial), np.inf)
        difference = trial[:, None] - self.coords[None]
        difference -= np.floor(difference)
        images = (difference @ self.lattice)[:, :, None] + self.corners
        distances = np.sqrt(np.einsum("kaix,kaix->kai", images, images).min(-1))
        return (distances / (covalent_radii[atomic_number] + self.radii)).min(-1)
