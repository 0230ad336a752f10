"""The tags of CIF blocks, read by gemmi: case and dots of a name do not matter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowllm.crystals.cif.values import is_null, plain, shown, with_letters
from flowllm.errors import InputError

if TYPE_CHECKING:
    import gemmi

# Tags of which two different values would be two different crystals.
_DECISIVE = ("_cell_", "_atom_site_", "_symmetry", "_space_group", "_chemical_formula_sum")
SITE_TAGS = tuple(f"_atom_site_{kind}_{axis}" for kind in ("fract", "cartn") for axis in "xyz")

_Place = tuple[Sequence[str], int, int]  # values of a loop, the first of the tag, their distance


class Tags:
    """The tags of one block with their values as written.

    Args:
        block: gemmi's.

    Raises:
        InputError: a tag that decides what the crystal is has two values.
    """

    def __init__(self, block: gemmi.cif.Block) -> None:
        self.name: str = with_letters(block.name.strip())
        self.remarks: list[str] = []
        self._places: dict[str, _Place] = {}
        places, again = self._places, self._again
        for item in block:
            pair: Any = item.pair
            if pair is not None:
                tag = pair[0].lower().replace(".", "_")
                place: _Place = ((pair[1],), 0, 1)
                if places.setdefault(tag, place) is not place:
                    again(tag, place)
                continue
            loop = item.loop
            if loop is not None:
                names, values = loop.tags, loop.values
                width = len(names)
                for start in range(width):
                    tag = names[start].lower().replace(".", "_")
                    place = (values, start, width)
                    if places.setdefault(tag, place) is not place:
                        again(tag, place)

    def _again(self, name: str, place: _Place) -> None:
        """Handle a repeated tag: a different value is refused if it affects the crystal."""
        if not name.startswith(_DECISIVE):
            return
        first, second = self.column(name), place[0][place[1] :: place[2]]
        if list(first) != list(second):
            raise InputError(
                f"{shown(name)} is given twice: {shown(first[0])} and {shown(second[0])}"
                if len(first) == len(second) == 1
                else f"{shown(name)} is given twice"
            )
        self.remarks.append(f"{shown(name)} is given twice")

    def __contains__(self, tag: str) -> bool:
        return tag in self._places

    def column(self, tag: str) -> Sequence[str]:
        """The values of a tag as written; empty where the block lacks it."""
        place = self._places.get(tag)
        return () if place is None else place[0][place[1] :: place[2]]

    def known(self, names: frozenset[str]) -> bool:
        """Whether the block has any of these tags."""
        return not names.isdisjoint(self._places)

    def count(self, tag: str) -> int:
        """The number of values of a tag, without copying them from the loop."""
        place = self._places.get(tag)
        return 0 if place is None else len(place[0]) // place[2]

    def first(self, *tags: str) -> tuple[str, str] | None:
        """The first of these tags that has a value, and that value without quotes."""
        for tag in tags:
            place = self._places.get(tag)
            if place is not None and len(place[0]) and not is_null(place[0][place[1]]):
                value = plain(place[0][place[1]])
                if value and value not in ("?", "."):
                    return tag, value
        return None

    @property
    def has_sites(self) -> bool:
        """Whether the block lists atom sites with coordinates."""
        return any(tag in self._places for tag in SITE_TAGS)


def parse_blocks(text: str) -> list[Tags]:
    """Every block of a text.

    Raises:
        InputError: it is not a CIF; the line is named.
    """
    import gemmi

    text = _prepared(text)
    try:
        document = gemmi.cif.read_string(text, check_level=0)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"the CIF cannot be parsed ({_reason(str(error), text)})") from error
    if not len(document):
        raise InputError("the CIF cannot be parsed (no data_ block)")
    return [Tags(block) for block in document]


def _prepared(text: str) -> str:
    """The text without what editors leave at its ends; letters that CIF lacks become escapes."""
    if not text.isascii():
        text = text.removeprefix("\ufeff").encode("ascii", "backslashreplace").decode("ascii")
    return text.rstrip("\0\x1a \t\r\n") + "\n"


_LINE = re.compile(r"string:(\d+)")
_TAG = re.compile(r"(?<!\S)_\S+")


def _reason(message: str, text: str) -> str:
    """Why gemmi could not read a text, in plain words."""
    if "expected block header" in message:
        return "no data_ block" if "data_" not in text.lower() else "text before the first data_"
    found = _LINE.match(message)
    where = f"line {found[1]}" if found else "somewhere"
    if "values in loop" in message:
        rest = text.split("\n", int(found[1]) - 1)[-1] if found else ""
        tag = _TAG.search(rest)
        return f"{where}: the loop of {shown(tag[0]) if tag else '?'} has a wrong number of values"
    if "unterminated" in message:
        return f"{where}: a quote or text field is not closed"
    line = text.split("\n", int(found[1]))[int(found[1]) - 1] if found else ""
    return f"{where}: '{shown(line)}'" if line.strip() else where
