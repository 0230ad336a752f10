"""The content of one CIF block: a crystal with all atoms of its cell, and its sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class CifSite:
    """One row of the loop of atom sites.

    Attributes:
        label: as written, or the element and the row's number where the file has no labels.
        element: symbol; deuterium and tritium are H.
        atoms: indices of its atoms in the arrays of the crystal. Two sites share atoms where one
            is an image of the other, or where both hold a part of the same element on one place.
    """

    label: str
    element: str
    atoms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CifCrystal:
    """The crystal of one block, in the cell that the file gives.

    Attributes:
        name: of the block, without `data_`.
        atomic_numbers: (n,) int64.
        frac_coords: (n, 3) float64; as written where the block lists every atom (P 1), in [0, 1)
            where symmetry operations make the atoms.
        lengths: (3,) Å.
        angles: (3,) degrees.
        sites: one for each row of the loop of atom sites, in its order.
        remarks: plain sentences on what was assumed, merged or contradictory; empty for a file
            that says all it must and says it once.
    """

    name: str
    atomic_numbers: np.ndarray
    frac_coords: np.ndarray
    lengths: np.ndarray
    angles: np.ndarray
    sites: tuple[CifSite, ...]
    remarks: tuple[str, ...]
