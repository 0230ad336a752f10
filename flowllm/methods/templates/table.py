"""Training crystals as templates: orbits, cells and free coordinates in a few compact arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from flowllm.crystals.cells import cell_volumes
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive
from flowllm.runs.identity import digest
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.space_group import LETTERS, WyckoffPosition, space_group
from flowllm.text.formats.wyckoff.strings import CELL_PARAMETERS, whole_cell

WHOLE = 65536  # steps of a free coordinate from 0 to 1
PER_UNIT = 500.0, 100.0
"""Steps of 1 Å and of 1°."""
LARGEST = 65535
NO_TABLE = "is not a table of templates"


class TemplateTable:
    """T crystals by their symmetry, in 16-bit numbers.

    Lengths are kept to 0.002 Å, angles to 0.01°, coordinates to 1/65536.

    Attributes:
        numbers: (T,) uint8 space groups.
        orbits: (T,) uint8 orbits of each crystal.
        elements: (O,) uint8 atomic number of each orbit.
        letters: (O,) uint8 place of its letter in the alphabet.
        cells: (C,) uint16 free parameters of the conventional cells.
        values: (F,) uint16 free coordinates of the orbits.

    Raises:
        InputError: the arrays do not describe crystals.
    """

    def __init__(
        self,
        numbers: np.ndarray,
        orbits: np.ndarray,
        elements: np.ndarray,
        letters: np.ndarray,
        cells: np.ndarray,
        values: np.ndarray,
    ) -> None:
        self.numbers, self.orbits = numbers, orbits
        self.elements, self.letters = elements, letters
        self.cells, self.values = cells, values
        self._check()

    @classmethod
    def build(cls, crystals: Sequence[SymmetricCrystal]) -> TemplateTable:
        """The table of some crystals in their canonical description.

        Raises:
            InputError: a cell is too large for it.
        """
        cells: list[float] = []
        values: list[np.ndarray] = []
        for crystal in crystals:
            cell = np.concatenate([crystal.lengths, crystal.angles])
            scale = np.repeat(PER_UNIT, 3)
            chosen = list(CELL_PARAMETERS[crystal.group.family])
            cells += np.round(cell * scale)[chosen].tolist()
            values += crystal.free_values()
        if max(cells, default=0) > LARGEST:
            raise InputError("a template's cell is longer than 131 Å")
        flat = np.concatenate([np.zeros(0), *values])
        return cls(
            np.array([c.number for c in crystals], np.uint8),
            np.array([len(c.letters) for c in crystals], np.uint8),
            np.array([z for c in crystals for z in c.elements.tolist()], np.uint8),
            np.array([LETTERS.index(x) for c in crystals for x in c.letters], np.uint8),
            np.array(cells, np.uint16),
            (np.round(flat * WHOLE).astype(np.int64) % WHOLE).astype(np.uint16),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def crystal(self, row: int) -> SymmetricCrystal:
        """One template as a crystal."""
        number = int(self.numbers[row])
        group = space_group(number)
        lengths, angles = self.cell(row)
        own = slice(int(self.first_orbit[row]), int(self.first_orbit[row + 1]))
        letters = tuple(LETTERS[place] for place in self.letters[own].tolist())
        start, coords = int(self._first_value[self.first_orbit[row]]), []
        for letter in letters:
            position = group.positions[letter]
            stop = start + len(position.free)
            coords.append(position.place(self.values[start:stop] / WHOLE))
            start = stop
        elements = self.elements[own].astype(np.int64)
        return SymmetricCrystal(number, lengths, angles, elements, letters, np.array(coords))

    def cell(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Lengths (3,) and angles (3,) of the conventional cell of a template."""
        family = space_group(int(self.numbers[row])).family
        parameters = CELL_PARAMETERS[family]
        first = int(self._first_cell[row])
        scale = [PER_UNIT[k >= 3] for k in parameters]
        return whole_cell((self.cells[first : first + len(parameters)] / scale).tolist(), family)

    def volume(self, row: int) -> float:
        """Å^3 of the primitive cell of a template."""
        return float(self._volumes[row])

    def orbits_of(self, row: int) -> tuple[int, list[int], list[int]]:
        """Space group, and each orbit's atomic number and letter index."""
        own = slice(int(self.first_orbit[row]), int(self.first_orbit[row + 1]))
        return int(self.numbers[row]), self.elements[own].tolist(), self.letters[own].tolist()

    @cached_property
    def first_orbit(self) -> np.ndarray:
        """(T + 1,) offset of each crystal's first orbit, and the total."""
        return _starts(self.orbits)

    @cached_property
    def atoms(self) -> np.ndarray:
        """(O,) atoms of each orbit in the primitive cell."""
        return self._of_positions([[p.atoms for p in _positions(n)] for n in range(231)])

    def counts(self, row: int) -> dict[int, int]:
        """{atomic number: atoms in the primitive cell} of a template."""
        found: dict[int, int] = {}
        own = slice(int(self.first_orbit[row]), int(self.first_orbit[row + 1]))
        for z, n in zip(self.elements[own].tolist(), self.atoms[own].tolist(), strict=True):
            found[z] = found.get(z, 0) + n
        return found

    # ---- files -----------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        names = ("numbers", "orbits", "elements", "letters", "cells", "values")
        return {name: getattr(self, name) for name in names}

    def save(self, path: Path) -> None:
        """Write an archive of the arrays."""
        write_archive(path, self.arrays())

    @classmethod
    def load(cls, path: Path) -> TemplateTable:
        """Read what `save` wrote.

        Raises:
            InputError: it is damaged or something else; the file is named.
        """
        with open_archive(path, NO_TABLE) as archive:
            arrays = [
                archive.typed(name, "u")
                for name in ("numbers", "orbits", "elements", "letters", "cells", "values")
            ]
        try:
            return cls(*arrays)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def digest(self) -> str:
        """A short hash of all templates."""
        return digest(*(array.tobytes() for array in self.arrays().values()))

    # ---- inside ----------------------------------------------------------------------------

    @cached_property
    def _volumes(self) -> np.ndarray:
        """(T,) Å^3 of the primitive cells."""
        found = np.empty(len(self))
        known = np.unique(self.numbers).tolist()
        points = np.ones(231)
        points[known] = [space_group(number).points for number in known]
        for of, parameters in CELL_PARAMETERS.items():
            own = np.isin(self.numbers, [n for n in known if space_group(n).family == of])
            places = self._first_cell[:-1][own][:, None] + np.arange(len(parameters))
            scale = np.array([PER_UNIT[k >= 3] for k in parameters])
            found[own] = cell_volumes(*whole_cell(self.cells[places] / scale, of))
        return found / points[self.numbers]

    @cached_property
    def _orbit_numbers(self) -> np.ndarray:
        return np.repeat(self.numbers, self.orbits)

    def _of_positions(self, table: list[list[int]]) -> np.ndarray:
        """(O,) a property of each orbit's position, from lists by group."""
        padded = np.full((len(table), len(LETTERS)), -1, np.int64)
        for number, row in enumerate(table):
            padded[number, : len(row)] = row
        return padded[self._orbit_numbers, self.letters]

    @cached_property
    def _first_value(self) -> np.ndarray:
        """(O + 1,) offset of each orbit's first free coordinate."""
        return _starts(self._of_positions([[len(p.free) for p in _positions(n)]
                                           for n in range(231)]))  # fmt: skip

    @cached_property
    def _first_cell(self) -> np.ndarray:
        sizes = [0, *(len(CELL_PARAMETERS[space_group(n).family]) for n in range(1, 231))]
        return _starts(np.array(sizes)[self.numbers])

    def _check(self) -> None:
        sizes = len(self.numbers) == len(self.orbits) and len(self.elements) == len(self.letters)
        if not sizes or self.orbits.sum() != len(self.elements):
            raise InputError("the orbits of the templates are incomplete")
        known = ((self.numbers >= 1) & (self.numbers <= 230)).all() and (self.orbits > 0).all()
        if not known or not ((self.elements >= 1) & (self.elements < len(SYMBOLS))).all():
            raise InputError("a template has an invalid space group or element")
        if (self.letters >= len(LETTERS)).any() or (self.atoms < 1).any():
            raise InputError("a template has a Wyckoff position that its space group lacks")
        whole = self._first_cell[-1] == len(self.cells) and (self.cells > 0).all()
        if not whole or self._first_value[-1] != len(self.values):
            raise InputError("cells or coordinates of the templates are incomplete")


def _positions(number: int) -> list[WyckoffPosition]:
    return list(space_group(number).positions.values()) if number else []


def _starts(sizes: np.ndarray) -> np.ndarray:
    """(n + 1,) cumulative sums of sizes, from 0."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
