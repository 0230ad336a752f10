"""A crystal in its conventional setting: space group, cell, and one atom per orbit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters, lattice_matrices, wrap
from flowllm.crystals.primitive import niggli_cell
from flowllm.errors import InputError
from flowllm.symmetry.space_group import SpaceGroup, WyckoffPosition, space_group


@dataclass(frozen=True)
class SymmetricCrystal:
    """A crystal by its symmetry; all other atoms follow from the operations.

    Attributes:
        number: of the space group.
        lengths: (3,) of the conventional cell, in Å.
        angles: (3,) of it, in degrees.
        elements: (k,) atomic numbers of k orbits.
        letters: k Wyckoff letters.
        coords: (k, 3) fractional coordinates of one atom of each orbit, in the conventional cell
            and on the first triplet of its position.

    Raises:
        InputError: no such space group or letter, or arrays of different lengths.
    """

    number: int
    lengths: np.ndarray
    angles: np.ndarray
    elements: np.ndarray
    letters: tuple[str, ...]
    coords: np.ndarray

    def __post_init__(self) -> None:
        group = self.group
        for letter in self.letters:
            if letter not in group.positions:
                raise InputError(f"space group {self.number} has no Wyckoff position {letter!r}")
        if not len(self.elements) == len(self.letters) == len(self.coords):
            raise InputError("a crystal needs as many elements and letters as coordinates")

    @property
    def group(self) -> SpaceGroup:
        """The space group."""
        return space_group(self.number)

    @property
    def positions(self) -> list[WyckoffPosition]:
        """The Wyckoff position of each orbit."""
        return [self.group.positions[letter] for letter in self.letters]

    @property
    def lattice(self) -> np.ndarray:
        """(3, 3) of the conventional cell in Å, vectors as rows."""
        return lattice_matrices(self.lengths[None], self.angles[None])[0]

    @property
    def num_atoms(self) -> int:
        """Atoms of the primitive cell."""
        return sum(position.atoms for position in self.positions)

    def free_values(self) -> list[np.ndarray]:
        """Values of the free coordinates of each orbit, in [0, 1)."""
        pairs = zip(self.positions, self.coords, strict=True)
        return [position.fits(point[None])[0][0] for position, point in pairs]

    def orbits(self) -> list[np.ndarray]:
        """(m, 3) fractional coordinates of each orbit's atoms of one primitive cell.

        They are in terms of the conventional cell, anywhere in space.
        """
        group = self.group
        return [
            group.rotations[position.images] @ point + group.translations[position.images]
            for position, point in zip(self.positions, self.coords, strict=True)
        ]

    def to_primitive(self, name: str = "0", reduced: bool = True) -> CrystalBatch:
        """The crystal's primitive cell as a batch of one; orbit by orbit.

        Args:
            name: its id.
            reduced: by Niggli; else the conventional cell's fixed primitive vectors.

        Raises:
            InputError: the cell is degenerate.
        """
        primitive = self.group.primitive
        orbits = self.orbits()
        lattice = primitive @ self.lattice
        coords = wrap(np.concatenate(orbits) @ np.linalg.inv(primitive))
        if reduced:
            try:
                lattice, coords = niggli_cell(lattice, coords)
            except ValueError as error:
                raise InputError(f"{name}: the cell cannot be reduced") from error
        lengths, angles = cell_parameters(lattice)
        numbers = np.repeat(self.elements, [len(orbit) for orbit in orbits])
        count = np.array([len(numbers)])
        return CrystalBatch(numbers, coords, lengths[None], angles[None], count, np.array([name]))

    def to_conventional(self, name: str = "0") -> CrystalBatch:
        """The crystal's conventional cell as a batch of one; orbit by orbit."""
        centring = self.group.centring_vectors
        whole = [(orbit[:, None] + centring[None]).reshape(-1, 3) for orbit in self.orbits()]
        numbers = np.repeat(self.elements, [len(orbit) for orbit in whole])
        return CrystalBatch(
            numbers, wrap(np.concatenate(whole)), self.lengths[None], self.angles[None],
            np.array([len(numbers)]), np.array([name]),
        )  # fmt: skip
