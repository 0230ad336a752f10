"""Symmetric crystals as text and back.

Line 1 holds the number of the space group. Then each orbit takes a line: its element, and the
multiplicity and letter of its Wyckoff position in the conventional cell. A line follows with the
free parameters of that cell: one length of a cubic one; a and c of tetragonal and hexagonal ones
(trigonal groups have hexagonal axes); three lengths of an orthorhombic one; three and β of a
monoclinic one; all six of a triclinic one. Lengths in Å have one decimal, angles in degrees none.
Then come the free coordinates of one atom of each orbit that has any, two decimals each, as here
of rutile::

    136
    Ti 2a
    O 4f
    4.6 3.0
    0.31

Orbits stand by the electronegativity of their element, then by letter, then by coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from flowllm.crystals.cells import cell_volumes
from flowllm.crystals.elements import NUMBER_OF, RANK_OF, SYMBOLS
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.descriptions import steps_of
from flowllm.symmetry.space_group import Family, space_group
from flowllm.text.formats.base import TextError

CELL_PARAMETERS: dict[Family, tuple[int, ...]] = {
    "triclinic": (0, 1, 2, 3, 4, 5),
    "monoclinic": (0, 1, 2, 4),
    "orthorhombic": (0, 1, 2),
    "tetragonal": (0, 2),
    "hexagonal": (0, 2),
    "cubic": (0,),
}
"""Which of a, b, c, α, β, γ are written."""
MIN_LENGTH, MAX_LENGTH = 0.5, 100.0  # Å; outside nothing is physical
MIN_VOLUME_FRACTION = 0.05  # of a*b*c: flatter cells are not crystals
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]+)?")
_POSITION = re.compile(r"([0-9]{1,3})([a-zA])")


def write(crystal: SymmetricCrystal, within_element: np.ndarray | None = None) -> str:
    """The text of one crystal, without a newline at the end.

    Args:
        crystal: in the description that is to be written.
        within_element: (k,) numbers by which the orbits of one element stand, instead of in the
            order of the crystal.
    """
    inner = np.arange(len(crystal.letters)) if within_element is None else within_element
    ranks = np.array([RANK_OF[SYMBOLS[number]] for number in crystal.elements.tolist()])
    order = np.lexsort((inner, ranks))
    values = crystal.free_values()
    elements = crystal.elements.tolist()
    structure = write_structure(crystal.number, [(elements[k], crystal.letters[k]) for k in order])
    cell = np.concatenate([crystal.lengths, crystal.angles])
    chosen = CELL_PARAMETERS[crystal.group.family]
    written = [f"{cell[k]:.1f}" if k < 3 else str(round(cell[k])) for k in chosen]
    coords = [
        " ".join(f"0.{step:02d}" for step in steps_of(values[k]).tolist())
        for k in order
        if len(values[k])
    ]
    return "\n".join([structure, " ".join(written), *coords])


def write_structure(number: int, orbits: Iterable[tuple[int, str]]) -> str:
    """The beginning of a text: the space group and the orbits.

    Args:
        number: of the space group.
        orbits: (atomic number, letter) of each, as they shall stand.
    """
    positions = space_group(number).positions
    lines = [f"{SYMBOLS[element]} {positions[letter].label}" for element, letter in orbits]
    return "\n".join([str(number), *lines])


def read(text: str, name: str = "text") -> SymmetricCrystal:
    """The crystal that a text describes.

    Raises:
        TextError: it describes none; names the place and what is wrong with it.
    """
    lines = [line for line in text.strip("\n").split("\n") if line.strip()]
    if not lines:
        raise TextError(f"{name}: the text is empty")
    number = _space_group(lines[0], name)
    group = space_group(number)
    elements, letters = [], []
    place = 1
    while place < len(lines) and lines[place].split()[0][:1].isalpha():
        element, letter = _orbit(lines[place], number, f"{name}: line {place + 1}")
        elements.append(element)
        letters.append(letter)
        place += 1
    if not letters:
        raise TextError(f"{name}: no orbit follows the space group")
    fixed = [x for x in letters if not group.positions[x].free]
    twice = next((x for x in fixed if fixed.count(x) > 1), None)
    if twice is not None:
        label = group.positions[twice].label
        raise TextError(f"{name}: position {label} has no free coordinate and is used twice")
    lengths, angles = _cell(lines[place : place + 1], group.family, name)
    coords = []
    place += 1
    for letter in letters:
        position = group.positions[letter]
        values: np.ndarray = np.zeros(0)
        if position.free:
            where = f"{name}: line {place + 1}"
            if place >= len(lines):
                raise TextError(f"{name}: coordinates of position {position.label} are missing")
            values = np.array(_numbers(lines[place], len(position.free), where))
            place += 1
        coords.append(position.place(values))
    if place < len(lines):
        raise TextError(f"{name}: line {place + 1}: {lines[place][:40]!r} comes after the end")
    return SymmetricCrystal(
        number, lengths, angles, np.array(elements), tuple(letters), np.array(coords)
    )


def whole_cell(
    values: Sequence[float] | np.ndarray, family: Family
) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (..., 3) and angles (..., 3) of conventional cells from free parameters (..., F)."""
    values = np.asarray(values, dtype=float)
    cell = np.empty((*values.shape[:-1], 6))
    cell[...] = (0.0, 0.0, 0.0, 90.0, 90.0, 120.0 if family == "hexagonal" else 90.0)
    cell[..., list(CELL_PARAMETERS[family])] = values
    if family == "cubic":
        cell[..., 1:3] = cell[..., :1]
    elif family in ("tetragonal", "hexagonal"):
        cell[..., 1] = cell[..., 0]
    return cell[..., :3], cell[..., 3:]


def _space_group(line: str, name: str) -> int:
    text = line.strip()
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 230:
        raise TextError(f"{name}: line 1: {text[:40]!r} is not a space group number (1 to 230)")
    return int(text)


def _orbit(line: str, number: int, where: str) -> tuple[int, str]:
    parts = line.split()
    if len(parts) != 2 or parts[0] not in NUMBER_OF:
        raise TextError(f"{where}: expected an element and a Wyckoff position, got {line[:40]!r}")
    match = _POSITION.fullmatch(parts[1])
    position = space_group(number).positions.get(match[2]) if match else None
    if match is None or position is None or position.multiplicity != int(match[1]):
        raise TextError(f"{where}: space group {number} has no position {parts[1][:10]!r}")
    return NUMBER_OF[parts[0]], position.letter


def _cell(lines: list[str], family: Family, name: str) -> tuple[np.ndarray, np.ndarray]:
    if not lines:
        raise TextError(f"{name}: the cell is missing")
    values = _numbers(lines[0], len(CELL_PARAMETERS[family]), f"{name}: the {family} cell")
    lengths, angles = whole_cell(values, family)
    if not ((lengths >= MIN_LENGTH) & (lengths <= MAX_LENGTH)).all():
        raise TextError(f"{name}: a length of {lengths.tolist()} Å is not physical")
    if not ((angles > 0) & (angles < 180)).all():
        raise TextError(f"{name}: an angle of {angles.tolist()} degrees is not physical")
    if cell_volumes(lengths[None], angles[None])[0] < MIN_VOLUME_FRACTION * lengths.prod():
        raise TextError(f"{name}: the cell is flat")
    return lengths, angles


def _numbers(line: str, count: int, where: str) -> list[float]:
    parts = line.split()
    if len(parts) != count:
        raise TextError(f"{where}: {len(parts)} numbers instead of {count}")
    wrong = next((part for part in parts if not _NUMBER.fullmatch(part)), None)
    if wrong is not None:
        raise TextError(f"{where}: {wrong[:40]!r} is not a number")
    return [float(part) for part in parts]
