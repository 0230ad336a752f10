"""Completion of symmetric texts: space group, first orbits and cell stay as given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.errors import InputError
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.state import WyckoffState


@dataclass(frozen=True)
class KeptText:
    """The kept part of a text.

    Attributes:
        beginning: space group and first orbits.
        end: the cell and the free coordinates of these orbits, a line break before it.
        orbits: labels of the orbits that stay, as in "Ti 2a".
    """

    beginning: str
    end: str
    orbits: tuple[str, ...]


def kept_text(text: str, atoms: int, name: str = "text") -> KeptText:
    """The part of a text that describes the first atoms of its primitive cell.

    Args:
        text: of a whole crystal.
        atoms: how many atoms of the primitive cell stay, whole orbits.
        name: of the crystal, for errors.

    Raises:
        InputError: there are not so many, or they end inside an orbit; says which numbers do.
    """
    crystal = strings.read(text, name)
    sizes = np.cumsum([position.atoms for position in crystal.positions]).tolist()
    if not 1 <= atoms <= sizes[-1]:
        raise InputError(f"the first {atoms} of {sizes[-1]} atoms; choose 1 to {sizes[-1]}")
    lines = text.split("\n")
    if atoms not in sizes:
        cut = next(k for k, size in enumerate(sizes) if size > atoms)
        some = ", ".join(map(str, sizes))
        raise InputError(
            f"{name}: the first {atoms} atoms end inside the orbit {lines[1 + cut]}; choose "
            f"one of {some}"
        )
    count = sizes.index(atoms) + 1
    cell = 1 + len(sizes)
    free = sum(bool(position.free) for position in crystal.positions[:count])
    stays = lines[1 : 1 + count]
    return KeptText(
        "\n".join([lines[0], *stays]),
        "\n" + "\n".join(lines[cell : cell + 1 + free]),
        tuple(stays),
    )


class KeptState:
    """After the kept orbits: the model may add others, then the kept end follows.

    Args:
        state: behind the beginning that stays.
        end: tokens of the end that stays.
    """

    def __init__(self, state: WyckoffState, end: list[int]) -> None:
        self.state, self.rule = state, state.rule
        self.waiting = list(end)
        self.open = True  # whether an orbit may be added

    @property
    def end(self) -> int:
        """The token that ends the text."""
        return self.state.end

    @property
    def longest(self) -> int:
        """The most tokens that the text can have, the end's among them."""
        return self.state.longest

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next, at least one."""
        if not self.open and self.waiting:
            return np.array(self.waiting[:1])
        allowed = self.state.allowed()
        if not self.open:
            return allowed
        cell = np.isin(allowed, self.state.table.first_lengths)
        return np.append(allowed[~cell], self.waiting[0]) if cell.any() else allowed

    def advance(self, token: int) -> None:
        """Take the next token of the text."""
        if self.open and token == self.waiting[0]:
            self.open = False
        if not self.open and self.waiting:
            self.waiting.pop(0)
        self.state.advance(token)
