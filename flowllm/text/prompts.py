"""Prompts: the sentences that condition the language model (Gruver et al., ICLR 2024).

The frame and the sentences of formula, space group, energy above the hull, band gap and formation
energy are those of the papers. Three more say what the papers' prompts leave open: the atoms of the
unit cell, the elements, and the number of atoms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, fields

from flowllm.crystals.batch import MAX_ATOMS
from flowllm.crystals.elements import NUMBER_OF, RANK_OF
from flowllm.errors import InputError

OPENING = "Below is a description of a bulk material. "
REQUEST = (
    "Generate a description of the lengths and angles of the lattice vectors and then the element "
    "type and coordinates for each atom within the lattice:\n"
)
STEMS = {
    "formula": "The chemical formula is",
    "elements": "The elements are",
    "num_atoms": "The number of atoms is",
    "formation_energy": "The formation energy per atom is",
    "e_above_hull": "The energy above the convex hull is",
    "band_gap": "The band gap is",
    "composition": "The unit cell contains",
    "space_group": "The space group number is",
}
"""The sentences, in the order in which they stand in a prompt; each ends with a full stop."""

OUTLINE = ("composition", "space_group")
"""What the compact model writes into a prompt itself where it is left open, before the crystal: an
outline from the coarse to the fine. These sentences stand last, behind all that was asked."""

_COMPOSITION = re.compile(r"[A-Z][a-z]?\d+( [A-Z][a-z]?\d+)*")


@dataclass(frozen=True)
class Conditions:
    """What is asked of a crystal; None leaves it open.

    Attributes:
        formula: reduced formula, as in SrTiO3.
        composition: {element: atoms in the cell}, at most 20 atoms.
        elements: exactly these elements.
        num_atoms: atoms in the primitive cell, 1 to 20.
        space_group: international number, 1 to 230.
        formation_energy: eV/atom.
        e_above_hull: eV/atom.
        band_gap: eV.

    Raises:
        InputError: an unknown element, or a number out of its range.
    """

    formula: str | None = None
    composition: dict[str, int] | None = None
    elements: tuple[str, ...] | None = None
    num_atoms: int | None = None
    space_group: int | None = None
    formation_energy: float | None = None
    e_above_hull: float | None = None
    band_gap: float | None = None

    def __post_init__(self) -> None:
        for symbol in (*(self.composition or ()), *(self.elements or ())):
            if symbol not in NUMBER_OF:
                raise InputError(f"unknown element {symbol!r}")
        if self.elements is not None and not self.elements:
            raise InputError("the list of elements is empty")
        if self.composition is not None:
            self._check_composition(self.composition)
        for name in ("formation_energy", "e_above_hull", "band_gap"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise InputError(f"{name} {value} is not finite")
        if self.num_atoms is not None and not 1 <= self.num_atoms <= MAX_ATOMS:
            raise InputError(f"number of atoms {self.num_atoms} is not between 1 and {MAX_ATOMS}")
        if self.space_group is not None and not 1 <= self.space_group <= 230:
            raise InputError(f"space group {self.space_group} is not between 1 and 230")

    @staticmethod
    def _check_composition(composition: dict[str, int]) -> None:
        for symbol, count in composition.items():
            if count != int(count):
                raise InputError(f"composition: {count} atoms of {symbol} is no whole number")
            if count < 1:
                raise InputError(f"composition: {count} atoms of {symbol}; at least 1 is needed")
        total = sum(composition.values())
        if not 1 <= total <= MAX_ATOMS:
            raise InputError(f"the composition has {total} atoms; a cell holds 1 to {MAX_ATOMS}")

    def known(self) -> list[str]:
        """The names of what is asked, in the order of the sentences."""
        return [name for name in STEMS if getattr(self, name) is not None]

    def only(self, names: Collection[str]) -> Conditions:
        """The same with all but the named conditions left open."""
        return Conditions(
            **{f.name: getattr(self, f.name) for f in fields(self) if f.name in names}
        )


def build_prompt(conditions: Conditions | None = None) -> str:
    """The prompt for some conditions, formula first; without any, the bare frame."""
    return "".join(text for text, _ in prompt_pieces(conditions or Conditions()))


def prompt_pieces(conditions: Conditions) -> list[tuple[str, str | None]]:
    """The prompt cut in pieces; a piece is a value if its second part names the condition."""
    pieces: list[tuple[str, str | None]] = [(OPENING, None)]
    for name in conditions.known():
        value = written_value(name, getattr(conditions, name))
        pieces += [(STEMS[name], None), (f" {value}. ", name)]
    return [*pieces, (REQUEST, None)]


def add_sentence(prompt: str, name: str, value: str = "") -> str:
    """A prompt with one more sentence before its request; only the stem of it without a value.

    The request stands behind a whole sentence, and is left out behind a stem.

    Raises:
        ValueError: the prompt does not end with the request.
    """
    head = prompt.removesuffix(REQUEST)
    if head == prompt:
        raise ValueError("the prompt does not end with the request")
    return head + STEMS[name] + (f" {value}. {REQUEST}" if value else "")


def without_sentence(prompt: str, name: str) -> str:
    """A prompt without its sentence of one condition."""
    return re.sub(_sentence(STEMS[name]) + " ?", "", prompt, count=1)


def parse_prompt(prompt: str) -> Conditions:
    """The conditions that a prompt's standard sentences state; other text states none.

    Raises:
        InputError: a standard sentence whose value cannot be read.
    """
    found: dict[str, object] = {}
    for name, stem in STEMS.items():
        match = re.search(_sentence(stem), prompt)
        if match:
            found[name] = _read(name, match.group(1))
    return Conditions(**found)  # type: ignore[arg-type]


def value_of(prompt: str, name: str) -> str:
    """The value of a standard sentence as it is written; "" for one that is not there."""
    match = re.search(_sentence(STEMS[name]), prompt)
    return match.group(1) if match else ""


def without_frame(prompt: str) -> str:
    """The sentences of a prompt, without the opening and the closing request."""
    return prompt.replace(OPENING, "").replace(REQUEST, "").strip()


def foreign_text(prompt: str) -> str:
    """What a prompt says beyond the frame and the standard sentences; empty for a standard one."""
    if not (prompt.startswith(OPENING) and prompt.endswith(REQUEST)):
        return prompt.strip()
    rest = without_frame(prompt)
    for stem in STEMS.values():
        rest = re.sub(_sentence(stem), "", rest, count=1)
    return rest.strip()


def _sentence(stem: str) -> str:
    return re.escape(stem) + r" (.*?)\.(?= |\n|$)"


def written_value(name: str, value: object) -> str:
    """The value of a condition as its sentence has it, as in "Sr1 Ti1 O3" or "-1.50"."""
    if name == "composition":
        assert isinstance(value, dict)
        return " ".join(f"{s}{value[s]}" for s in sorted(value, key=RANK_OF.__getitem__))
    if name == "elements":
        return ", ".join(sorted(value, key=RANK_OF.__getitem__))  # type: ignore[call-overload]
    if name in ("formula", "num_atoms", "space_group"):
        return str(value)
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def _read(name: str, text: str) -> object:
    try:
        if name == "formula":
            return text
        if name == "composition":
            if not _COMPOSITION.fullmatch(text):
                raise ValueError
            pairs = re.findall(r"([A-Z][a-z]?)(\d+)", text)
            if len(dict(pairs)) < len(pairs):
                raise ValueError
            return {symbol: int(count) for symbol, count in pairs}
        if name == "elements":
            return tuple(text.split(", "))
        return int(text) if name in ("num_atoms", "space_group") else float(text)
    except ValueError:
        raise InputError(f"cannot read {text!r} in the sentence {STEMS[name]!r}") from None
