"""Which orbit may come next, so that the composition can still be completed."""

from __future__ import annotations

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.symmetry.filling import can_fill, has_sites, most_orbits
from flowllm.symmetry.space_group import LETTERS, SpaceGroup, WyckoffPosition

Composition = tuple[tuple[int, int], ...]
"""((rank, atoms), …) in the order of the text."""


class OrbitChoice:
    """The orbits of a text so far, by electronegativity of their element, then by letter.

    Args:
        group: the space group.
        rule: which compositions the primitive cell may have.

    Attributes:
        found: (rank, position) of the orbits so far.
        rank: of an element whose position comes next.
    """

    def __init__(self, group: SpaceGroup, rule: CompositionRule) -> None:
        self.group, self.rule = group, rule
        self.found: list[tuple[int, WyckoffPosition]] = []
        self.rank: int | None = None
        self.used: frozenset[str] = frozenset()
        self.paths = list(rule.paths)  # the compositions that begin with what is written

    @property
    def possible(self) -> bool:
        """Whether the space group has positions for what the rule asks."""
        if self.rule.compositions is not None:
            number = self.group.number
            return any(has_sites(number, tuple(n for _, n in path)) for path in self.paths)
        return any(self._open_fills(total, 0) for total in self._totals(0))

    def ranks(self) -> list[int]:
        """The elements that may come next; none where the composition is complete."""
        last = self.found[-1][0] if self.found else -1
        if self.rule.compositions is not None:
            choices = {rank for path in self.paths for rank, _ in path if rank >= last}
        elif self.rule.ranks is not None:
            waiting = [rank for rank in self.rule.ranks if rank > last]
            choices = {*waiting[:1], *({last} if self.found else ())}
        else:
            choices = {rank for rank in self.rule.open_ranks if rank >= last}
            if self.found and choices:  # what holds for one of them holds for all that are new
                new = {rank for rank in choices if rank > last}
                kept = set() if not new or not self.letters(min(new)) else new
                return sorted(kept | ({last} if self.letters(last) else set()))
            return sorted(choices) if choices and self.letters(min(choices)) else []
        return sorted(rank for rank in choices if self.letters(rank))

    def letters(self, rank: int) -> list[str]:
        """The positions that an orbit of an element may take."""
        last_rank, last = self.found[-1] if self.found else (-1, None)
        first = 0
        if rank == last_rank and last is not None:
            first = LETTERS.index(last.letter) + (0 if last.free else 1)
        return [
            letter
            for letter, position in list(self.group.positions.items())[first:]
            if letter not in self.used and self._leads_on(rank, position)
        ]

    def may_end(self) -> bool:
        """Whether the composition is complete."""
        if self.rank is not None or not self.found:
            return False
        counts = self._counts()
        if self.rule.compositions is not None:
            return counts in self.paths
        total = sum(n for _, n in counts)
        complete = self.rule.ranks is None or len(counts) == len(self.rule.ranks)
        return complete and self.rule.num_atoms in (None, total)

    def begin(self, rank: int) -> None:
        """Take an element."""
        self.rank = rank

    def put(self, letter: str) -> None:
        """Take the position of the element's orbit."""
        assert self.rank is not None
        position = self.group.positions[letter]
        self.found.append((self.rank, position))
        if not position.free:
            self.used |= {letter}
        self.rank = None
        counts = self._counts()
        place = len(counts)
        self.paths = [
            path
            for path in self.paths
            if len(path) >= place
            and path[: place - 1] == counts[:-1]
            and path[place - 1][0] == counts[-1][0]
            and path[place - 1][1] >= counts[-1][1]
        ]

    def _counts(self) -> Composition:
        counts: list[tuple[int, int]] = []
        for rank, position in self.found:
            if counts and counts[-1][0] == rank:
                counts[-1] = (rank, counts[-1][1] + position.atoms)
            else:
                counts.append((rank, position.atoms))
        return tuple(counts)

    def _leads_on(self, rank: int, position: WyckoffPosition) -> bool:
        """Whether a text can be completed behind an orbit."""
        used = self.used if position.free else self.used | {position.letter}
        first = LETTERS.index(position.letter) + (0 if position.free else 1)
        counts = self._counts()
        here = position.atoms
        if counts and counts[-1][0] == rank:
            here += counts[-1][1]
            counts = counts[:-1]
        if self.rule.compositions is None:
            written = sum(n for _, n in counts) + here
            kinds = len(counts) + 1
            return any(
                self._open_fills(total - written, kinds, used) for total in self._totals(written)
            )
        place = len(counts)
        for path in self.paths:
            if len(path) <= place or path[:place] != counts or path[place][0] != rank:
                continue
            need = path[place][1] - here
            later = tuple(sorted(n for _, n in path[place + 1 :]))
            if need >= 0 and can_fill(self.group.number, first, need, later, used):
                return True
        return False

    def _totals(self, written: int) -> range:
        """Numbers of atoms that the whole cell may have."""
        exact = self.rule.num_atoms
        if exact is not None:
            return range(exact, exact + 1) if exact >= written else range(0)
        return range(max(written, 1), self.rule.largest + 1)

    def _open_fills(self, atoms: int, kinds: int, used: frozenset[str] = frozenset()) -> bool:
        """Whether so many more atoms find orbits, one at least for each element still missing."""
        missing = 0 if self.rule.ranks is None else len(self.rule.ranks) - kinds
        return most_orbits(self.group.number, atoms, used) >= missing
