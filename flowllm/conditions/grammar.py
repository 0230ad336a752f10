"""The grammar of formulas: one recursive-descent parser, for formulas and for unit cells.

    formula    := part { dot part }          dot: · or *, and . where no decimal can be meant
    part       := [ count ] groups           a count in front only where there are several parts
    groups     := group { group }
    group      := ( element | bracket ) [ count ]
    bracket    := "(" groups ")" | "[" groups "]" | "{" groups "}"
    count      := a whole number of at least 1

Subscript digits are digits. Blanks may stand between single groups, as in "Sr1 Ti1 O3" and
"Fe 2 O 3". D and T are H. Everything else is refused: what looks like a formula and is none (a
charge, a decimal, a word) must never become another formula.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flowllm.crystals.elements import NUMBER_OF

LONGEST = 200  # characters of a formula
DEEPEST = 8  # brackets inside brackets
MOST_DIGITS = 4  # of a count
MOST_ATOMS = 100_000  # of a formula; far more than any cell
ISOTOPES = {"D": "deuterium", "T": "tritium"}
"""Symbols of isotopes, which are read as H, and their names."""
DIGITS = "0123456789"
CLOSING = {"(": ")", "[": "]", "{": "}"}
_WATER = re.compile(r"\.[0-9]*(?:\(?(?:H2O|D2O|HDO|T2O)\)?)(?=$|[·*.])")
_ROMAN = re.compile(r"\((?:I{1,3}|I?V|VI{1,3})\)")
_PLAIN = str.maketrans(
    {
        **{chr(0x2080 + digit): str(digit) for digit in range(10)},  # subscript digits
        **dict.fromkeys("•∙⋅・‧\u2217", "·"),
        **dict.fromkeys("\u200b\u2060\ufeff", " "),  # blanks of no width, as copied from pages
    }
)


class FormulaError(Exception):
    """Why a text is not a formula."""


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes:
        atoms: {element: atoms}, in the order of the text; not reduced.
        isotopes: symbols of isotopes that were read as H.
    """

    atoms: dict[str, int]
    isotopes: tuple[str, ...] = ()


def plain(text: str) -> str:
    """A text with plain digits, dots and blanks, none of these at its ends or around a dot."""
    words = re.sub(
        r" ?([·*]) ?| \. ?|\. ", lambda dot: dot[1] or "·", " ".join(text.translate(_PLAIN).split())
    )
    return re.sub(r"([·*][0-9]+) ", r"\1", words)


def parse(text: str, cell: bool = False) -> Formula:
    """Read a formula.

    Args:
        text: what a person wrote.
        cell: it is the content of a unit cell, in which blanks may stand anywhere: not two formulas
            but all of the atoms.

    Raises:
        FormulaError: it is none; the message says what is wrong, not in which formula.
    """
    if len(text) > LONGEST:
        raise FormulaError(f"a formula may have at most {LONGEST} characters")
    words = _words(plain(text))
    if not words:
        raise FormulaError("it is empty")
    readers = [_Reader(word) for word in words]
    if len(words) == 1:
        readers[0].formula()
    else:
        _read_words(readers, cell)
    atoms: dict[str, int] = {}
    for reader in readers:
        for symbol, count in reader.atoms.items():
            atoms[symbol] = atoms.get(symbol, 0) + count
    if sum(atoms.values()) > MOST_ATOMS:
        raise FormulaError(f"it has more than {MOST_ATOMS:,} atoms")
    written = set().union(*(reader.symbols for reader in readers))
    return Formula(atoms, tuple(symbol for symbol in ISOTOPES if symbol in written))


def _words(text: str) -> list[str]:
    """The blank-separated words; a bare number belongs to the word before it."""
    words: list[str] = []
    for word in text.split():
        if words and not word.strip(DIGITS) and words[-1][-1] not in DIGITS:
            words[-1] += word
        else:
            words.append(word)
    return words


def _read_words(readers: list[_Reader], cell: bool) -> None:
    """Read words with blanks between them, and no element in two of them.

    Each is a single group, except in a cell.
    """
    seen: set[str] = set()
    for reader in readers:
        (reader.groups if cell else reader.group)(reader.atoms, 0)
        if reader.place < len(reader.text):
            raise FormulaError("spaces may only separate single elements, as in Sr1 Ti1 O3")
        if seen & reader.symbols:
            twice = ", ".join(sorted(seen & reader.symbols))
            raise FormulaError(f"{twice} appears twice")
        seen |= reader.symbols


@dataclass
class _Reader:
    """Reads one word from left to right.

    Attributes:
        text: without blanks.
        place: of the next character.
        atoms: {element: atoms} so far.
        symbols: elements and isotopes as they are written.
    """

    text: str
    place: int = 0
    atoms: dict[str, int] = field(default_factory=dict)
    symbols: set[str] = field(default_factory=set)

    @property
    def next(self) -> str:
        return self.text[self.place : self.place + 1]

    def formula(self) -> None:
        """The whole word."""
        parts: list[tuple[int, dict[str, int]]] = []
        while True:
            start, count, part = self.place, self._count(), dict[str, int]()
            led = self.place > start
            self.groups(part, 0)
            parts.append((count, part))
            if not self._at_dot():
                break
            self.place += 1
        if self.place < len(self.text):
            raise FormulaError(f"{self.next!r} is not part of a formula")
        if led and len(parts) == 1:
            raise FormulaError(f"it begins with a number; ask for {self.text.lstrip(DIGITS)}")
        for count, part in parts:
            for symbol, number in part.items():
                self.atoms[symbol] = self.atoms.get(symbol, 0) + count * number

    def groups(self, atoms: dict[str, int], depth: int) -> None:
        """One group or more, added to `atoms`."""
        self.group(atoms, depth)
        while self.next.isalpha() or self.next in ("(", "[", "{"):
            self.group(atoms, depth)

    def group(self, atoms: dict[str, int], depth: int) -> None:
        """An element or a bracket with its count, added to `atoms`."""
        inner: dict[str, int] = {}
        opening = self.next
        if opening in CLOSING:
            if depth == DEEPEST:
                raise FormulaError(f"brackets may be nested at most {DEEPEST} deep")
            if self.place and _ROMAN.match(self.text, self.place):  # Fe(III) is not an iodide
                raise FormulaError("oxidation states are not part of a formula")
            self.place += 1
            self.groups(inner, depth + 1)
            if self.next != CLOSING[opening]:
                raise FormulaError(f"the bracket {opening!r} is not closed")
            self.place += 1
        else:
            inner[self._element()] = 1
        count = self._count()
        for symbol, number in inner.items():
            atoms[symbol] = atoms.get(symbol, 0) + count * number

    def _element(self) -> str:
        for length in (2, 1):
            symbol = self.text[self.place : self.place + length]
            if len(symbol) == length and (symbol in NUMBER_OF or symbol in ISOTOPES):
                self.place += length
                self.symbols.add(symbol)
                return "H" if symbol in ISOTOPES else symbol
        word = re.match(r"[A-Z][a-z]?", self.text[self.place :])
        if word:
            raise FormulaError(f"unknown element {word[0]!r}")
        if self.next.islower():
            raise FormulaError("element symbols begin with a capital letter")
        if not self.next:
            raise FormulaError("an element is missing at its end")
        raise FormulaError(f"expected an element, got {self.next!r}")

    def _count(self) -> int:
        """The whole number that stands here, 1 where there is none."""
        digits = re.match(r"[0-9]*", self.text[self.place :])
        assert digits is not None
        number = digits[0]
        if not number:
            return 1
        self.place += len(number)
        if not number.strip("0"):
            raise FormulaError("an amount is zero; it must be at least 1")
        if number[0] == "0":
            raise FormulaError(
                f"the number {number[:8]} begins with a zero; did you mean the letter O?"
            )
        if len(number) > MOST_DIGITS:
            raise FormulaError(f"a number may have at most {MOST_DIGITS} digits")
        return int(number)

    def _at_dot(self) -> bool:
        """Whether the next part of a formula begins here."""
        if self.next != ".":
            return self.next in ("·", "*")
        decimal = self.text[self.place + 1 : self.place + 2].isdigit()
        return not decimal or _WATER.match(self.text, self.place) is not None
