"""VASP's POSCAR and CONTCAR, of versions 4 and 5."""

from __future__ import annotations

import re

import numpy as np

from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.inputs.items import ISOTOPES, Item, ReadCrystal, crystal_from_lattice, element_number
from flowllm.inputs.limits import shown

_COUNTS = re.compile(r"\s*\d+(\s+\d+)*\s*")
_NAME = re.compile(r"([A-Z][a-z]?)(_\w+|/\S*)*")
_LABEL = re.compile(r"([A-Z][a-z]?)(?![a-z])")
_CONFIGURATION = re.compile(r"\s*(direct|cartesian)\s+configuration\s*=", re.IGNORECASE)


def poscar_items(text: str, stem: str, place: str, remarks: tuple[str, ...]) -> list[Item]:
    """One item for a POSCAR; for an XDATCAR one per configuration."""
    frames = _frames(text)
    if len(frames) == 1:
        return [Item(stem, place, "poscar", text, remarks=remarks)]
    return [
        Item("", f"{place}, frame {number}", "poscar", frame, remarks=remarks)
        for number, frame in enumerate(frames)
    ]


def _frames(text: str) -> list[str]:
    """Each configuration with its header, which is written once or before each."""
    if "onfiguration" not in text:
        return [text]
    lines = text.split("\n")
    marks = [row for row, line in enumerate(lines) if _CONFIGURATION.match(line)]
    header, frames = lines[: marks[0]] if marks else [], []
    for mark, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        frames.append("\n".join([*header, *lines[mark:end]]))
        again = lines[max(mark + 1, end - len(header)) : end]
        if len(again) == len(header) and again[0] == header[0] and again[5:] == header[5:]:
            header = again
    return frames or [text]


def crystal_from_poscar(text: str, max_atoms: int) -> ReadCrystal:
    """The crystal of a POSCAR or CONTCAR; velocities after the coordinates are ignored.

    A file of version 4 does not name its elements. They are taken from its comment line where that
    holds as many symbols as there are counts, and nothing else.

    Raises:
        InputError: a line is missing or is not what stands there in a POSCAR; it is named.
    """
    lines = [
        re.split("[!#]", line)[0] if row else line for row, line in enumerate(text.split("\n"))
    ]
    scale = _numbers(lines, 1, (1, 3), "the scale")
    lattice = np.array([_numbers(lines, row, (3,), "a vector of the cell") for row in (2, 3, 4)])
    at = 5
    if _COUNTS.fullmatch(_line(lines, at)):  # version 4
        names = lines[0].split()
    else:
        names = [name for name in lines[at].split() if name]
        at += 1
    if not _COUNTS.fullmatch(_line(lines, at)):
        raise InputError(f"expected numbers of atoms in line {at + 1} of the POSCAR")
    counts = [int(word) if len(word) < 12 else 10**12 for word in lines[at].split()]
    if at == 5 and not (len(names) == len(counts) and all(map(_is_symbol, names))):
        raise InputError(
            "a POSCAR of VASP 4 without elements: write one symbol for each number of atoms into "
            "its first line, as in 'Sr Ti O'"
        )
    if len(names) != len(counts):
        raise InputError(f"the POSCAR has {len(names)} elements but {len(counts)} numbers of atoms")
    if not 0 < sum(counts) <= max_atoms:
        raise InputError(f"the POSCAR declares {sum(counts)} atoms; 1 to {max_atoms} are read")
    numbers, remarks = [], list[str]()
    for name, count in zip(names, counts, strict=True):
        found = _NAME.fullmatch(name)
        number, said = element_number(found.group(1) if found else name)
        numbers += [number] * count
        remarks += said
    at += 1
    if _line(lines, at).strip()[:1] in ("S", "s"):  # selective dynamics
        at += 1
    mode = _line(lines, at).strip()[:1].lower()
    if mode not in tuple("dfck"):
        raise InputError(f"line {at + 1} of the POSCAR says neither Direct nor Cartesian")
    coords = np.array(
        [_numbers(lines, at + 1 + k, (3, ...), "a coordinate") for k in range(len(numbers))]
    )
    if all(_LABEL.match(_label(lines[at + 1 + k])) for k in range(len(numbers))):
        remarks += _contradictions(lines[at + 1 :], numbers)
    factors = np.array(scale if len(scale) == 3 else scale * 3)
    if len(scale) == 1 and scale[0] < 0:  # the cell's volume
        volume = abs(np.linalg.det(lattice))
        if not volume > 0:
            raise InputError("no cell, or one of zero volume")
        factors = np.full(3, (-scale[0] / volume) ** (1 / 3))
    elif min(scale) <= 0:
        raise InputError("the scale of the POSCAR is not positive")
    given = {"positions": coords * factors} if mode in ("c", "k") else {"frac": coords}
    crystal = crystal_from_lattice(np.array(numbers), lattice * factors, **given)
    return ReadCrystal(crystal, tuple(dict.fromkeys(remarks)))


def _line(lines: list[str], row: int) -> str:
    if row >= len(lines):
        raise InputError(f"the POSCAR ends before its line {row + 1}")
    return lines[row]


def _numbers(lines: list[str], row: int, counts: tuple, what: str) -> list[float]:
    """The numbers in a line; `...` among the counts allows trailing words."""
    words = _line(lines, row).split()
    if ... in counts:
        words = words[: counts[0]]
    try:
        # Fortran writes 1.0D0
        values = [float(re.sub("[dD]", "e", word)) for word in words if "_" not in word]
    except ValueError:
        values = []
    if len(values) not in counts or not np.isfinite(values).all():
        wanted = " or ".join(str(count) for count in counts if count is not ...)
        raise InputError(f"{what} in line {row + 1} of the POSCAR is not {wanted} numbers")
    return values


def _is_symbol(word: str) -> bool:
    return word in NUMBER_OF or word in ISOTOPES


def _label(line: str) -> str:
    """The word that some programs write after a coordinate and its flags."""
    words = [word for word in line.split()[3:] if word not in ("T", "F", ".TRUE.", ".FALSE.")]
    return words[0] if words else ""


def _contradictions(lines: list[str], numbers: list[int]) -> list[str]:
    """A remark if the labels after the coordinates name elements other than the header's."""
    for line, number in zip(lines, numbers, strict=False):
        found = _LABEL.match(_label(line))
        named = NUMBER_OF.get(found.group(1)) if found else None
        if named is not None and named != number:
            return [f"labels of atoms contradict the header: {shown(_label(line), 20)}"]
    return []
