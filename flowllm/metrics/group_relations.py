"""Crystal systems of space groups, and which space groups contain which."""

from __future__ import annotations

from functools import cache

import numpy as np

GROUPS = 230
CRYSTAL_SYSTEMS = (
    "triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic",
)  # fmt: skip
LAST_GROUPS = (2, 15, 74, 142, 167, 194, 230)
"""The last space group of each crystal system (International Tables, volume A)."""
LAST_OF_CLASS = (
    1, 2, 5, 9, 15, 24, 46, 74, 80, 82, 88, 98, 110, 122, 142, 146, 148, 155, 161, 167, 173, 174,
    176, 182, 186, 190, 194, 199, 206, 214, 220, 230,
)  # fmt: skip
"""The last space group of each of the 32 crystal classes."""


def crystal_systems(groups: np.ndarray) -> np.ndarray:
    """(B,) int64: 1 for triclinic to 7 for cubic of (B,) space-group numbers; 0 stays 0.

    Trigonal and hexagonal stand apart; rhombohedral lattices are trigonal.
    """
    groups = np.asarray(groups, dtype=np.int64)
    return np.where(groups > 0, np.searchsorted(LAST_GROUPS, groups) + 1, 0)


def are_supergroups(found: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(B,) bool: whether each space group found is a proper supergroup of the requested one.

    Only groups of the same translations count (translationengleiche), so a crystal of the group
    found with the primitive cell that was asked for has the group asked for too.

    Args:
        found: (B,) space-group numbers, 0 for none.
        asked: (B,) likewise.
    """
    found, asked = np.asarray(found, dtype=np.int64), np.asarray(asked, dtype=np.int64)
    supergroups: np.ndarray = _contains()[found, asked]
    return supergroups


@cache
def _contains() -> np.ndarray:
    """(231, 231) bool: [G, H] where chains of maximal subgroups of lower class lead from G to H.

    A maximal subgroup has either all translations or the same crystal class (Hermann's theorem), so
    those of another class have all translations. The table is pymatgen's.
    """
    from pymatgen.symmetry.groups import SYMM_DATA

    contains: np.ndarray = np.zeros((GROUPS + 1, GROUPS + 1), dtype=bool)
    for group, subgroups in SYMM_DATA["maximal_subgroups"].items():
        own, others = np.searchsorted(LAST_OF_CLASS, int(group)), np.array(subgroups)
        contains[int(group), others[np.searchsorted(LAST_OF_CLASS, others) != own]] = True
    while True:
        further: np.ndarray = contains | (contains.astype(int) @ contains.astype(int) > 0)
        if (further == contains).all():
            return contains
        contains = further
