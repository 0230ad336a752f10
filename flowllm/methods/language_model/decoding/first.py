"""The first acceptable of several draws of a text, whatever the order in which they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Name = TypeVar("Name")


class FirstDraw(Generic[Name]):
    """Tracks which draw of each text is the first acceptable one.

    Args:
        draws: numbers of the draws of each text, in their order.
        chosen: called once for each text that has such a draw: with its name, the draw, and what
            was drawn.
    """

    def __init__(
        self, draws: Sequence[int], chosen: Callable[[Name, int, str | None], None]
    ) -> None:
        self.draws, self.chosen = draws, chosen
        self._ended: dict[Name, dict[int, tuple[bool, str | None]]] = {}
        self._settled: set[Name] = set()

    def end(self, name: Name, draw: int, text: str | None, stays: bool) -> None:
        """One draw has ended.

        Args:
            name: of the text.
            draw: the number of the draw.
            text: what was drawn.
            stays: whether it can stay.
        """
        ended = self._ended.setdefault(name, {})
        ended[draw] = (stays, text)
        if name in self._settled:
            return
        for number in self.draws:
            if number not in ended:
                return
            can_stay, found = ended[number]
            if can_stay:
                self._settled.add(name)
                self.chosen(name, number, found)
                return

    def without(self) -> list[Name]:
        """The texts without an acceptable draw, in the order in which their draws ended."""
        return [name for name in self._ended if name not in self._settled]
