"""Coordinate triplets of International Tables, as in "x,x+1/2,-z+1/4", as matrix and constant."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np

_TERM = re.compile(r"([+-]?)(\d+(?:/\d+)?)?\*?([xyz])?")


def parse_triplet(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The (3, 3) matrix M and the (3,) constant c of the position M (x, y, z) + c.

    Raises:
        ValueError: it is not a triplet.
    """
    parts = text.replace(" ", "").split(",")
    if len(parts) != 3:
        raise ValueError(f"{text!r} is not a coordinate triplet")
    matrix, constant = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(parts):
        place = 0
        while place < len(part):
            match = _TERM.match(part, place)
            if match is None or match.end() == place or not (match[2] or match[3]):
                raise ValueError(f"{text!r} is not a coordinate triplet")
            try:
                value = float(Fraction(match[2] or 1)) * (-1.0 if match[1] == "-" else 1.0)
            except ZeroDivisionError:
                raise ValueError(f"{text!r} is not a coordinate triplet") from None
            if match[3]:
                matrix[row, "xyz".index(match[3])] += value
            else:
                constant[row] += value
            place = match.end()
        if not part:
            raise ValueError(f"{text!r} is not a coordinate triplet")
    return matrix, constant


def write_triplet(matrix: np.ndarray, constant: np.ndarray) -> str:
    """The triplet, as in "x,x+1/2,-z+1/4", of a whole (3, 3) matrix and a (3,) constant.

    Constants are taken modulo 1, to the nearest twenty-fourth.
    """
    parts = []
    for row, shift in zip(np.round(matrix).astype(int).tolist(), constant, strict=True):
        terms = [f"{k:+d}{axis}" for k, axis in zip(row, "xyz", strict=True) if k]
        fraction = Fraction(round(float(shift) * 24) % 24, 24)
        if fraction or not terms:
            terms.append(f"+{fraction}")
        parts.append("".join(terms).replace("1x", "x").replace("1y", "y").replace("1z", "z"))
    return ",".join(part.removeprefix("+") for part in parts)
