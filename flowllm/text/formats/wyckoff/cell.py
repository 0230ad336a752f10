"""Allowed parameters of a conventional cell: a volume as in the data, atoms apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowllm.crystals.cells import cell_volumes
from flowllm.crystals.volumes import volume_range
from flowllm.symmetry.space_group import Family
from flowllm.text.formats.wyckoff.contacts import CLOSEST, roomiest
from flowllm.text.formats.wyckoff.strings import (
    CELL_PARAMETERS,
    MIN_VOLUME_FRACTION,
    whole_cell,
)
from flowllm.text.formats.wyckoff.table import WyckoffTable
from flowllm.text.formats.wyckoff.words import ANGLES, MAX_WHOLE

SHORTEST, LONGEST = 2.0, float(MAX_WHOLE)  # Å of a conventional axis that is still to come
SMALLEST_SINE = 0.65  # of an angle that is still to come: sin 40°, and a little more
LATER_COSINES = np.cos(np.deg2rad(np.array(ANGLES[::4])))  # of angles that are still to come
TINY = 1e-6

WHOLES = np.arange(1, MAX_WHOLE + 1)
TENTHS = np.arange(10) / 10
DEGREES = np.array(ANGLES, dtype=float)

Clearance = Callable[[np.ndarray], np.ndarray]
"""(C, F) free parameters of C cells in, (C,) shortest contacts over the shortest allowed out."""


class CellWriter:
    """The free parameters of a cell that is being written, number by number.

    Args:
        table: the tokens by role.
        family: the crystal family.
        numbers: (n,) atomic numbers of the atoms in the conventional cell.
        clearance: of what is known of the atoms.

    Attributes:
        values: the parameters so far; of one that is half written its whole number.
        half: whether a decimal comes next.
    """

    def __init__(
        self, table: WyckoffTable, family: Family, numbers: np.ndarray, clearance: Clearance
    ) -> None:
        self.table, self.family, self.clearance = table, family, clearance
        self.parameters = CELL_PARAMETERS[family]
        self.volumes = volume_range(numbers)
        self.values: list[float] = []
        self.half = False

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next, at least one."""
        table = self.table
        if self.half:
            trial = self.values[-1] + TENTHS
            return table.decimals[self._kept(self.values[:-1], trial)]
        if self.parameters[len(self.values)] >= 3:
            return table.angles[self._kept(self.values, DEGREES)]
        low, high = self._range()
        fits = (low - TINY <= WHOLES + 0.9) & (high + TINY >= WHOLES)
        if not fits.any():
            fits[np.abs(WHOLES - np.clip(low, 1, MAX_WHOLE)).argmin()] = True
        return (table.lengths if self.values else table.first_lengths)[fits]

    def advance(self, token: int) -> float:
        """Take the next token.

        Returns:
            The shortest contact over the shortest allowed, in the cell that it completes; infinite
            before.
        """
        table = self.table
        if self.half:
            self.values[-1] += table.decimal_of[token]
            self.half = False
        elif self.parameters[len(self.values)] >= 3:
            self.values.append(float(table.angle_of[token]))
        else:
            self.values.append(float(table.whole_of[token]))
            self.half = True
        complete = len(self.values) == len(self.parameters) and not self.half
        return float(self.clearance(np.array([self.values]))[0]) if complete else np.inf

    def _kept(self, before: list[float], trial: np.ndarray) -> np.ndarray:
        """(K',) positions of the allowed values of the current parameter."""
        if len(before) + 1 < len(self.parameters):
            if self.parameters[len(before)] >= 3:
                return self._kept_angles(before, trial)
            low, high = self._range(before)
            fits = (trial >= low - 0.05) & (trial <= high + 0.05)
            if not fits.any():
                fits[np.abs(trial - (low + high) / 2).argmin()] = True
            return np.flatnonzero(fits)
        cells = np.empty((len(trial), len(before) + 1))
        cells[:, :-1], cells[:, -1] = before, trial
        lengths, angles = whole_cell(cells, self.family)
        volumes = cell_volumes(lengths, angles)
        low, high = self.volumes
        real = volumes > 2 * MIN_VOLUME_FRACTION * lengths.prod(-1)
        fits = real & (volumes >= low) & (volumes <= high)
        if not fits.any():
            misfit = np.abs(np.log(np.maximum(volumes, TINY) / np.sqrt(low * high)))
            return np.array([np.where(real, misfit, np.inf).argmin()])
        places = np.flatnonzero(fits)
        clearance = self.clearance(cells[places])
        apart = clearance >= CLOSEST
        return places[apart] if apart.any() else places[[roomiest(clearance)]]

    def _kept_angles(self, before: list[float], trial: np.ndarray) -> np.ndarray:
        """(K',) positions of a triclinic cell's first angles that leave a volume as in the data."""
        cosines = [np.cos(np.deg2rad(np.array([angle]))) for angle in before[3:]]
        cosines.append(np.cos(np.deg2rad(trial)))
        cosines += [LATER_COSINES] * (3 - len(cosines))
        a, b, c = np.meshgrid(*cosines, indexing="ij")
        squared = np.maximum(1 - a**2 - b**2 - c**2 + 2 * a * b * c, 0)
        along = len(before) - 3  # the axis of the present angle
        flat = np.moveaxis(squared, along, 0).reshape(len(trial), -1)
        volumes = np.sqrt(flat) * np.prod(before[:3])
        low, high = self.volumes
        fits = ((volumes >= low) & (volumes <= high) & (flat > 4 * MIN_VOLUME_FRACTION**2)).any(1)
        if not fits.any():
            misfit = np.abs(np.log(np.maximum(volumes, TINY) / np.sqrt(low * high))).min(1)
            return np.array([misfit.argmin()])
        return np.flatnonzero(fits)

    def _range(self, before: list[float] | None = None) -> tuple[float, float]:
        """The range in Å of the next length that leaves a volume as in the data."""
        values = self.values if before is None else before
        low, high = self.volumes
        sine = 1.0
        if self.family == "hexagonal":
            sine = np.sqrt(3) / 2
            low, high = low / sine, high / sine
        elif self.family in ("monoclinic", "triclinic"):
            high = high / SMALLEST_SINE ** (1 if self.family == "monoclinic" else 3)
        lengths = sum(1 for k in self.parameters if k < 3)
        left = lengths - len(values)
        if self.family == "cubic":
            return low ** (1 / 3), high ** (1 / 3)
        if self.family in ("tetragonal", "hexagonal"):
            if left == 2:
                return (low / LONGEST) ** 0.5, (high / SHORTEST) ** 0.5
            return low / values[0] ** 2, high / values[0] ** 2
        known = float(np.prod(values)) if values else 1.0
        least, most = SHORTEST ** (left - 1), LONGEST ** (left - 1)
        return low / (known * most), high / (known * least)
