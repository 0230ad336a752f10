"""The unit cell of a block: lengths are required, angles are 90° where they are not given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flowllm.crystals.cif.tags import Tags
from flowllm.crystals.cif.values import DEFAULT, is_null, number, shown
from flowllm.errors import InputError

LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
MAX_LENGTH = 1e5  # Å; longer ones are broken numbers
MIN_HEIGHT = 1e-3  # Å; a thinner cell has no volume


@dataclass(frozen=True)
class Cell:
    """Lengths (3,) in Å, angles (3,) in degrees, and the tags of angles that were not given."""

    lengths: tuple[float, float, float]
    angles: tuple[float, float, float]
    assumed: tuple[str, ...] = ()

    @cached_property
    def cosines(self) -> tuple[float, float, float]:
        """Of the angles."""
        alpha, beta, gamma = self.angles
        return _cosine(alpha), _cosine(beta), _cosine(gamma)

    @cached_property
    def metric(self) -> np.ndarray:
        """(3, 3) metric tensor in Å²: scalar products of the cell vectors."""
        a, b, c = self.lengths
        alpha, beta, gamma = self.cosines
        ab, ac, bc = a * b * gamma, a * c * beta, b * c * alpha
        return np.array([[a * a, ab, ac], [ab, b * b, bc], [ac, bc, c * c]])

    @cached_property
    def volume(self) -> float:
        """Volume in Å³; 0 where the angles give none."""
        a, b, c = self.lengths
        x, y, z = self.cosines
        return a * b * c * math.sqrt(max(0.0, 1 - x * x - y * y - z * z + 2 * x * y * z))

    @cached_property
    def heights(self) -> tuple[float, float, float]:
        """Heights in Å over the faces bc, ca and ab."""
        a, b, c = self.lengths
        x, y, z = self.cosines
        volume = self.volume
        return (
            volume / max(b * c * math.sqrt(1 - x * x), 1e-300),
            volume / max(a * c * math.sqrt(1 - y * y), 1e-300),
            volume / max(a * b * math.sqrt(1 - z * z), 1e-300),
        )

    def distances(self, delta: np.ndarray) -> np.ndarray:
        """(...) Å: lengths of fractional differences (..., 3), taken to the nearest cell by axis.

        Exact up to half the cell's least height, which is all that is asked of it here.
        """
        delta = delta - np.round(delta)
        squared = ((delta @ self.metric) * delta).sum(-1)
        return np.sqrt(np.maximum(squared, 0.0))


def _cosine(degrees: float) -> float:
    return 0.0 if degrees == 90 else math.cos(math.radians(degrees))


def read_cell(tags: Tags, flat_cells: bool = False) -> Cell:
    """The cell of a block.

    Args:
        tags: the block.
        flat_cells: take cells without volume as they are.

    Raises:
        InputError: there is no cell; a length is missing, unknown or not above 0; an angle is
            unknown or not between 0 and 180°; there is no volume.
    """
    if not any(tag in tags for tag in LENGTHS):
        raise InputError("the CIF cannot be parsed (no unit cell)")
    assumed: list[str] = []
    lengths = [_length(tags, tag) for tag in LENGTHS]
    angles = [_angle(tags, tag, assumed) for tag in ANGLES]
    cell = Cell(
        (lengths[0], lengths[1], lengths[2]), (angles[0], angles[1], angles[2]), tuple(assumed)
    )
    if not flat_cells and not min(cell.heights) > MIN_HEIGHT:
        raise InputError(
            "the cell has no volume: lengths {:g}, {:g}, {:g} Å, angles {:g}, {:g}, {:g}°".format(
                *lengths, *angles
            )
        )
    return cell


def _value(tags: Tags, tag: str) -> tuple[str, float | None]:
    values = tags.column(tag)
    if len(values) == 1 and (plain := number(values[0])) is not None:
        return values[0], plain
    if len(values) > 1:
        raise InputError(f"{tag} has {len(values)} values")
    raw = values[0] if values else ""
    if is_null(raw):
        return raw, None
    value = number(raw)
    if value is None:
        raise InputError(
            f"the CIF cannot be parsed ({tag} is '{shown(raw)}', which is not a number)"
        )
    return raw, value


def _length(tags: Tags, tag: str) -> float:
    raw, value = _value(tags, tag)
    if value is None:
        raise InputError(f"{tag} is unknown ('{raw}')" if raw else f"{tag} is missing")
    if value < 0:
        raise InputError(f"a cell length or angle is negative: {tag} is {value:g}")
    if not 0 < value <= MAX_LENGTH:
        raise InputError(f"{tag} is {value:g} Å")
    return value


def _angle(tags: Tags, tag: str, assumed: list[str]) -> float:
    raw, value = _value(tags, tag)
    if value is None:
        if raw and raw != DEFAULT:
            raise InputError(f"{tag} is unknown ('{raw}')")
        assumed.append(tag)
        return 90.0
    if value < 0:
        raise InputError(f"a cell length or angle is negative: {tag} is {value:g}")
    if not 0 < value < 180:
        raise InputError(f"{tag} is {value:g}°")
    return value
