"""The 230 space groups: operations, Wyckoff positions, centring, normaliser.

One setting each, that of International Tables for Crystallography A with unique axis b, origin
choice 2 and hexagonal axes. The table is made by `recipes/wyckoff_table.py`; nothing here needs
spglib or pymatgen.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from flowllm.errors import InputError
from flowllm.symmetry.triplets import parse_triplet

Family = Literal["triclinic", "monoclinic", "orthorhombic", "tetragonal", "hexagonal", "cubic"]
LETTERS = "abcdefghijklmnopqrstuvwxyzA"
"""Wyckoff letters in their order; A stands for the alpha of Pmmm."""
TWENTY_FOURTHS = 24  # all translations of the normalisers are such fractions

_ENDS: tuple[tuple[int, Family], ...] = (
    (2, "triclinic"), (15, "monoclinic"), (74, "orthorhombic"), (142, "tetragonal"),
    (194, "hexagonal"), (230, "cubic"),
)  # fmt: skip
PRIMITIVE: dict[str, list[list[float]]] = {
    "P": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "A": [[1, 0, 0], [0, 1 / 2, -1 / 2], [0, 1 / 2, 1 / 2]],
    "C": [[1 / 2, 1 / 2, 0], [-1 / 2, 1 / 2, 0], [0, 0, 1]],
    "I": [[-1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [1 / 2, 1 / 2, -1 / 2]],
    "F": [[0, 1 / 2, 1 / 2], [1 / 2, 0, 1 / 2], [1 / 2, 1 / 2, 0]],
    "R": [[2 / 3, 1 / 3, 1 / 3], [-1 / 3, 1 / 3, 1 / 3], [-1 / 3, -2 / 3, 1 / 3]],
}
"""Primitive cell vectors, as rows, in terms of the conventional ones."""


@dataclass(frozen=True)
class WyckoffPosition:
    """One Wyckoff position of a space group.

    Attributes:
        letter: as in "f".
        multiplicity: atoms in the conventional cell.
        atoms: atoms in the primitive cell.
        site_symmetry: the oriented symbol, as in "m.2m".
        matrix: (3, 3) M of the first triplet, M (x, y, z) + c.
        constant: (3,) c.
        images: operations, by their places, whose images of a point of the first triplet are all
            atoms of the primitive cell, once each; the identity is the first.
    """

    letter: str
    multiplicity: int
    atoms: int
    site_symmetry: str
    matrix: np.ndarray
    constant: np.ndarray
    images: np.ndarray

    @property
    def label(self) -> str:
        """Multiplicity and letter, as in "4f"."""
        return f"{self.multiplicity}{self.letter}"

    @property
    def titled(self) -> str:
        """The label with the site symmetry, as in "4f (m.2m)"."""
        return f"{self.label} ({self.site_symmetry})"

    @cached_property
    def free(self) -> tuple[int, ...]:
        """The axes, 0 to 2, whose coordinates are free."""
        return tuple(np.flatnonzero(self.matrix.any(0)).tolist())

    def place(self, values: np.ndarray) -> np.ndarray:
        """(..., 3) points of the first triplet from (..., F) values of the free coordinates."""
        return values @ self._free_matrix + self.constant

    @cached_property
    def _free_matrix(self) -> np.ndarray:
        """(F, 3) coefficients of each free coordinate."""
        return self.matrix[:, list(self.free)].T

    def fits(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How well points (K, 3) fit the first triplet.

        Returns:
            (K, F) values of the free coordinates in [0, 1), and (K, 3) fractional misfits.
        """
        values = (points - self.constant)[:, list(self.free)]  # each stands alone on its own axis
        misfits = self.place(values) - points
        return values - np.floor(values), misfits - np.round(misfits)


@dataclass(frozen=True)
class SpaceGroup:
    """One space group in its conventional setting.

    Attributes:
        number: international number, 1 to 230.
        hall: spglib's Hall number of the setting.
        rotations: (k, 3, 3) of all operations, translations of the centring included.
        translations: (k, 3) of them.
        positions: letter -> position, from the most symmetric one.
        centring: letter of the lattice type: P, A, C, I, F or R.
        normalizer: (m, 3, 3) and (m, 3), coset representatives of the Euclidean normaliser
            (with all changes of axes of the crystal family, none of which turns a crystal into its
            mirror image) without shifts along a polar axis.
        polar: (3,) bool, along which axes the origin is arbitrary.
    """

    number: int
    hall: int
    rotations: np.ndarray
    translations: np.ndarray
    positions: dict[str, WyckoffPosition]
    centring: str
    normalizer: tuple[np.ndarray, np.ndarray]
    polar: np.ndarray

    @cached_property
    def family(self) -> Family:
        """The crystal family; trigonal groups have hexagonal axes."""
        return family(self.number)

    @property
    def primitive(self) -> np.ndarray:
        """(3, 3) primitive cell vectors, as rows, in terms of the conventional ones."""
        return np.array(PRIMITIVE[self.centring])

    @cached_property
    def centring_vectors(self) -> np.ndarray:
        """(points, 3) lattice points in the conventional cell, the origin first."""
        pure = (self.rotations == np.eye(3)).all((1, 2))
        found = self.translations[pure]
        return found[np.lexsort(found.T[::-1])]

    @cached_property
    def points(self) -> int:
        """Lattice points in the conventional cell."""
        return round(1 / abs(np.linalg.det(self.primitive)))


def family(number: int) -> Family:
    """The crystal family of a space group by its number; trigonal groups count as hexagonal."""
    return next(name for end, name in _ENDS if number <= end)


@cache
def space_group(number: int) -> SpaceGroup:
    """A space group by its international number.

    Raises:
        InputError: the number is not between 1 and 230.
    """
    if not 1 <= number <= 230:
        raise InputError(f"space group must be from 1 to 230, not {number}")
    entry = _table()[str(number)]
    rotations, translations = _turns_and_shifts(entry["operations"])
    centring = entry["centring"]
    primitive = np.array(PRIMITIVE[centring])
    positions = {
        letter: _position(letter, row, rotations, translations, primitive)
        for letter, row in zip(LETTERS, entry["positions"], strict=False)
    }
    polar = polar_axes(rotations)
    return SpaceGroup(
        number,
        entry["hall"],
        rotations,
        translations,
        positions,
        centring,
        _turns_and_shifts(entry["normalizer"]),
        polar,
    )


def _turns_and_shifts(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(k, 3, 3) and (k, 3) of rows of nine entries and three twenty-fourths."""
    values = np.array(rows, dtype=float).reshape(-1, 12)
    return values[:, :9].reshape(-1, 3, 3), values[:, 9:] / TWENTY_FOURTHS


def polar_axes(rotations: np.ndarray) -> np.ndarray:
    """(3,) bool: the axes invariant under all rotations (k, 3, 3)."""
    return np.array([np.allclose(rotations[:, :, axis], np.eye(3)[axis]) for axis in range(3)])


def _position(
    letter: str,
    row: list[Any],
    rotations: np.ndarray,
    translations: np.ndarray,
    primitive: np.ndarray,
) -> WyckoffPosition:
    triplet, multiplicity, symbol = row
    matrix, constant = parse_triplet(triplet)
    point = matrix @ [0.1373, 0.2291, 0.3187] + constant  # of no special value
    images = (rotations @ point + translations) @ np.linalg.inv(primitive)
    steps = np.round((images - np.floor(images)) * 10_000).astype(int) % 10_000
    _, first = np.unique(steps, axis=0, return_index=True)
    atoms = np.sort(first)
    return WyckoffPosition(letter, multiplicity, len(atoms), symbol, matrix, constant, atoms)


@cache
def _table() -> dict[str, Any]:
    file = files("flowllm.symmetry") / "positions.json.gz"
    table: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
    return table
