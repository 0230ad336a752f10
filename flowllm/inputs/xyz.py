"""Extended XYZ: frames with a cell in the comment line."""

from __future__ import annotations

import re

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.inputs.items import Item, ReadCrystal, crystal_from_lattice, element_number
from flowllm.inputs.limits import shown

_COUNT = re.compile(r"\s*(\d+)\s*", re.ASCII)
_KEY = re.compile(r"([A-Za-z_][\w.-]*)[ \t]*=[ \t]*")
_ID_KEYS = ("id", "material_id", "name")
_SPECIES, _POSITIONS = ("species", "symbols", "element"), ("pos", "positions")
_NUMBERS = ("z", "numbers", "atomic_numbers")
_TRUE, _FALSE = ("t", "true", "1"), ("f", "false", "0")


def xyz_items(text: str, path: str, max_atoms: int, remarks: tuple[str, ...]) -> list[Item]:
    """One item per frame; after an invalid line, the rest is one frame."""
    lines, items, at = text.split("\n"), list[Item](), 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        place = f"{path}, frame {len(items)}"
        count = _count(lines[at])
        reason = ""
        if count is None:
            reason = f"the frame cannot be parsed: line {at + 1} is not a number of atoms"
        elif count > max_atoms:
            reason = (
                f"the frame declares {lines[at].strip()[:25]} atoms; at most {max_atoms} are read"
            )
        elif at + 2 + count > len(lines) - (not lines[-1]):
            there = max(len(lines) - (not lines[-1]) - at - 2, 0)
            reason = (
                f"the frame cannot be parsed: it declares {count} atoms, but {there} lines follow"
            )
        if reason or count is None:
            left = len(lines) if count is None else min(at + 2 + count, len(lines))
            items.append(Item("", place, reason=reason, remarks=remarks))
            at = left
            continue
        stop = at + 2 + count
        while stop < len(lines) and lines[stop].startswith("VEC"):
            stop += 1
        values = comment_values(lines[at + 1])
        name = next((values[key] for key in _ID_KEYS if values.get(key)), "")
        items.append(Item(name, place, "xyz", "\n".join(lines[at:stop]), remarks=remarks))
        at = stop
    return items


def _count(line: str) -> int | None:
    found = _COUNT.fullmatch(line)
    return None if found is None else int(found.group(1)[:18])


def comment_values(comment: str) -> dict[str, str]:
    """The key=value pairs of a comment line; quotes and brackets protect blanks."""
    values: dict[str, str] = {}
    at = 0
    while found := _KEY.search(comment, at):
        start = found.end()
        opening = comment[start : start + 1]
        closing = {'"': '"', "'": "'", "{": "}"}.get(opening)
        if closing:
            end = comment.find(closing, start + 1)
            end = len(comment) if end < 0 else end
            value, at = comment[start + 1 : end], end + 1
        elif opening == "[":
            depth, end = 0, start
            for end in range(start, len(comment)):
                depth += {"[": 1, "]": -1}.get(comment[end], 0)
                if not depth:
                    break
            value, at = comment[start : end + 1], end + 1
        else:
            end = start
            while end < len(comment) and not comment[end].isspace():
                end += 1
            value, at = comment[start:end], max(end, start)
        values.setdefault(found.group(1), value.strip())
    return values


def crystal_from_xyz(text: str, max_atoms: int) -> ReadCrystal:
    """The crystal of one frame.

    Raises:
        InputError: the frame cannot be parsed, has no cell or none with a volume, is not periodic
            in all three directions, or contains a type that is not an element.
    """
    lines = text.split("\n")
    count = _count(lines[0])
    if count is None or len(lines) < 2 + count:
        raise InputError("the frame cannot be parsed: its first line is not the number of atoms")
    if count > max_atoms:
        raise InputError(f"the frame declares {count} atoms; at most {max_atoms} are read")
    values = {key.lower(): value for key, value in comment_values(lines[1]).items()}
    lattice = _lattice(values.get("lattice"), lines[2 + count :])
    check_periodic(_flags(values.get("pbc", "T T T")))
    species, first = _columns(values.get("properties", "species:S:1:pos:R:3"))
    numbers, positions, remarks = [], [], list[str]()
    for row in range(count):
        words = lines[2 + row].split()
        try:
            positions.append([float(word) for word in words[first : first + 3]])
            number, said = _number(words[species])
        except IndexError:
            raise InputError(f"the frame cannot be parsed: {_at(row)} is too short") from None
        except InputError as error:
            raise InputError(f"the frame cannot be parsed: {error} in {_at(row)}") from None
        except ValueError:
            raise InputError(
                f"the frame cannot be parsed: {_at(row)} contains no position"
            ) from None
        if len(positions[-1]) < 3:
            raise InputError(f"the frame cannot be parsed: {_at(row)} is too short")
        numbers.append(number)
        remarks += said
    crystal = crystal_from_lattice(
        np.array(numbers, dtype=np.int64), lattice, positions=np.array(positions)
    )
    return ReadCrystal(crystal, tuple(dict.fromkeys(remarks)))


def check_periodic(flags: list[bool]) -> None:
    """Refuse structures that are not periodic along all three vectors.

    Raises:
        InputError: it is not a crystal.
    """
    if not all(flags):
        shown = " ".join("T" if flag else "F" for flag in flags)
        raise InputError(f"not periodic in all directions (pbc {shown}); a crystal has pbc T T T")


def _at(row: int) -> str:
    return f"line {row + 3}"


def _number(word: str) -> tuple[int, tuple[str, ...]]:
    if word.isascii() and word.isdecimal():
        number = int(word[:6])
        if not 0 < number < len(SYMBOLS):
            raise InputError(f"{word[:12]} is not an atomic number")
        return number, ()
    return element_number(word)


def _lattice(value: str | None, rest: list[str]) -> np.ndarray:
    """(3, 3) cell of a comment's `Lattice`, or of lines that begin with VEC."""
    if value is None:
        vectors = [line.split()[1:4] for line in rest if line.startswith("VEC")]
        if len(vectors) != 3:
            raise InputError("no cell: its comment line contains no Lattice")
        value = " ".join(word for vector in vectors for word in vector)
    try:
        numbers = [float(word) for word in re.sub(r"[\[\],]", " ", value).split()]
    except ValueError:
        numbers = []
    if len(numbers) != 9:
        raise InputError("the frame cannot be parsed: Lattice does not hold 9 numbers")
    return np.array(numbers).reshape(3, 3)


def _flags(value: str) -> list[bool]:
    words = re.sub(r"[\[\],]", " ", value).lower().split()
    words = words * 3 if len(words) == 1 else words
    if len(words) != 3 or any(word not in _TRUE + _FALSE for word in words):
        raise InputError(f"the frame cannot be parsed: pbc is {shown(value, 20)!r}")
    return [word in _TRUE for word in words]


def _columns(properties: str) -> tuple[int, int]:
    """Columns of the species and of the first coordinate."""
    words = properties.split(":")
    at, species, position = 0, None, None
    try:
        for name, width in zip(words[::3], map(int, words[2::3]), strict=True):
            if width < 1:
                raise ValueError
            lower = name.lower()
            if lower in _SPECIES or (lower in _NUMBERS and species is None):
                species = at
            elif lower in _POSITIONS and width == 3:
                position = at
            at += width
    except ValueError:
        raise InputError("the frame cannot be parsed: Properties are not triples") from None
    if species is None or position is None:
        raise InputError("the frame cannot be parsed: Properties lack species or pos")
    return species, position
