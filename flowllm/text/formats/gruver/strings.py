"""Crystals as text and back (Gruver et al., ICLR 2024; FlowLLM, section 3.1).

Line 1 holds the three lengths in Å with one decimal, line 2 the three angles in degrees as rounded
integers; then each atom takes two lines, its element and its fractional coordinates with two
decimals::

    3.9 3.9 3.9
    90 90 90
    Sr
    0.00 0.00 0.00
    Ti
    0.50 0.50 0.50
    …

Atoms stand by the electronegativity of their element (pymatgen's order), inside an element by their
written coordinates, x before y before z.
"""

from __future__ import annotations

import re

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_volumes
from flowllm.crystals.elements import NUMBER_OF, RANK_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.text.formats.base import TextError

MIN_LENGTH, MAX_LENGTH = 0.5, 100.0  # Å; outside nothing is physical
MIN_VOLUME_FRACTION = 0.05  # of a*b*c: flatter cells are not crystals
_RANKS = np.array([-1, *(RANK_OF[s] for s in SYMBOLS[1:])])
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]+)?")


def to_text(crystals: CrystalBatch, within_element: np.ndarray | None = None) -> list[str]:
    """The strings of B crystals, without a newline at the end.

    Args:
        crystals: B crystals of N atoms in all.
        within_element: (N,) numbers by which the atoms of one element stand, instead of by their
            coordinates.

    Raises:
        InputError: an atom's type is open.
    """
    if (crystals.atomic_numbers < 1).any():
        raise InputError("a crystal with an open type has no text")
    steps = np.round(crystals.frac_coords * 100).astype(np.int64) % 100
    inner = tuple(steps.T[::-1]) if within_element is None else (within_element,)
    order = np.lexsort((*inner, _RANKS[crystals.atomic_numbers], crystals.crystal_of_atom))
    atoms = [
        f"{SYMBOLS[number]}\n0.{x:02d} 0.{y:02d} 0.{z:02d}"
        for number, (x, y, z) in zip(
            crystals.atomic_numbers[order].tolist(), steps[order].tolist(), strict=True
        )
    ]
    texts = []
    for start, count, lengths, angles in zip(
        crystals.offsets, crystals.num_atoms, crystals.lengths, crystals.angles, strict=True
    ):
        head = " ".join(f"{x:.1f}" for x in lengths) + "\n"
        head += " ".join(str(int(np.rint(x))) for x in angles)
        texts.append("\n".join([head, *atoms[start : start + count]]))
    return texts


def parse_text(text: str, name: str = "text") -> CrystalBatch:
    """The crystal that a text describes, as a batch of one.

    Raises:
        TextError: names the line and what is wrong with it.
    """
    if not text.strip():
        raise TextError(f"{name}: the text is empty")
    lines = text.strip().split("\n")
    if len(lines) < 4:
        raise TextError(f"{name}: {len(lines)} lines; a crystal has at least 4")
    if len(lines) % 2:
        raise TextError(f"{name}: the last atom has no coordinates")
    lengths = _numbers(lines[0], f"{name}, line 1 (lengths)")
    angles = _numbers(lines[1], f"{name}, line 2 (angles)")
    if not all(MIN_LENGTH <= x <= MAX_LENGTH for x in lengths):
        raise TextError(
            f"{name}, line 1: lengths {lines[0]!r} are not within {MIN_LENGTH} to {MAX_LENGTH} Å"
        )
    if not all(0 < x < 180 for x in angles):
        raise TextError(f"{name}, line 2: angles {lines[1]!r} are not between 0 and 180")
    cell = np.array([lengths]), np.array([angles])
    if cell_volumes(*cell)[0] < MIN_VOLUME_FRACTION * np.prod(lengths):
        raise TextError(f"{name}, line 2: angles {lines[1]!r} give zero volume")
    numbers, coords = [], []
    for index in range(2, len(lines), 2):
        symbol = lines[index].strip()
        if symbol not in NUMBER_OF:
            raise TextError(f"{name}, line {index + 1}: {symbol!r} is not an element")
        numbers.append(NUMBER_OF[symbol])
        coords.append(_numbers(lines[index + 1], f"{name}, line {index + 2} (coordinates)"))
    return CrystalBatch(
        np.array(numbers), np.array(coords), *cell, np.array([len(numbers)]), np.array([name])
    )


def _numbers(line: str, where: str) -> list[float]:
    words = line.split()
    if len(words) != 3:
        raise TextError(f"{where}: {len(words)} numbers instead of 3")
    for word in words:
        if not _NUMBER.fullmatch(word):
            raise TextError(f"{where}: {word!r} is not a number")
    return [float(word) for word in words]
