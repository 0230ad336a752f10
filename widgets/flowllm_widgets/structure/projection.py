"""A projected drawing without WebGL: balls and lines in painting order."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowllm.viz.structure3d import CELL_COLOUR, Drawing, ball_radii

EYE = np.array([1.25, 0.75, 0.5])  # the report's, in the crystal's axes
PIECES = 8  # of an edge of the cell, so that an atom may hide a part of it
BOND, EDGE = 0.22, 0.06  # Å, widths


def _looking_from(eye: np.ndarray) -> tuple[float, ...]:
    towards = eye / np.linalg.norm(eye)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    rows = np.stack([right, np.cross(towards, right), towards])
    return tuple(float(x) for x in rows.ravel())


FIRST_ORIENTATION = _looking_from(EYE)
"""Nine numbers, rows: what is right, up and towards the viewer, in the crystal's axes."""


@dataclass(frozen=True)
class Ball:
    """An atom: middle (x, y) and radius in Å, x to the right, y up."""

    x: float
    y: float
    radius: float
    colour: str


@dataclass(frozen=True)
class Line:
    """A piece of a bond or an edge, in Å."""

    start: tuple[float, float]
    stop: tuple[float, float]
    width: float
    colour: str


@dataclass(frozen=True)
class Face:
    """A translucent face of a coordination polyhedron, its corners in Å."""

    corners: tuple[tuple[float, float], ...]
    colour: str


def marks(
    drawing: Drawing,
    orientation: Sequence[float] = FIRST_ORIENTATION,
    colours: Mapping[int, str] | None = None,
    polyhedra: bool = False,
) -> list[Ball | Line | Face]:
    """Balls, lines and faces from back to front.

    Args:
        drawing: about the middle of its cell, as `MovingDrawing.at` gives it.
        orientation: nine numbers, see `FIRST_ORIENTATION`.
        colours: {atomic number: colour}, where other crystals are seen beside it.
        polyhedra: whether the faces of coordination polyhedra are among them.
    """
    colours = colours or drawing.colours
    turn = np.array(orientation, dtype=float).reshape(3, 3).T
    atoms = drawing.positions @ turn
    radii = ball_radii(drawing.numbers)
    found: list[tuple[float, Ball | Line | Face]] = []
    for (x, y, depth), radius, number in zip(atoms, radii, drawing.numbers, strict=True):
        ball = Ball(float(x), float(y), float(radius), colours[int(number)])
        found.append((depth + 0.7 * radius, ball))  # it hides the lines that end inside it
    for pair in drawing.bonds:
        for one, other in (pair, pair[::-1]):
            tint = colours[int(drawing.numbers[one])]
            middle = (atoms[one] + atoms[other]) / 2
            # a bond begins behind the surface of its atom, so it lies behind the atom's mark
            depth = min(atoms[one, 2], (atoms[one, 2] + middle[2]) / 2) - 1e-3
            found.append((depth, _line(atoms[one], middle, BOND, tint)))
    if polyhedra:
        for triangle, middle in zip(drawing.triangles, drawing.middles, strict=True):
            corners = tuple((float(x), float(y)) for x, y, _ in atoms[triangle])
            face = Face(corners, colours[int(drawing.numbers[middle])])
            found.append((float(atoms[triangle, 2].mean()), face))
    steps = np.linspace(0, 1, PIECES + 1)[:, None]
    for start, stop in drawing.edges @ turn:
        points = start + steps * (stop - start)
        for one, other in itertools.pairwise(points):
            found.append((float(one[2] + other[2]) / 2, _line(one, other, EDGE, CELL_COLOUR)))
    return [mark for _, mark in sorted(found, key=lambda pair: pair[0])]


def _line(start: np.ndarray, stop: np.ndarray, width: float, tint: str) -> Line:
    ends = (float(start[0]), float(start[1])), (float(stop[0]), float(stop[1]))
    return Line(*ends, width, tint)
