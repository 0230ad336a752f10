"""Which orbit may come next, so that the composition can still be completed."""

from __future__ import annotations

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.symmetry.filling import has_sites, letters_that_fill, most_orbits
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
        self.counts: Composition = ()  # of the elements so far
        self.paths = list(rule.paths)  # the compositions that begin with what is written

    @property
    def possible(self) -> bool:
        """Whether the space group has positions for the rule's compositions."""
        if self.rule.compositions is not None:
            number = self.group.number
            return any(has_sites(number, tuple(n for _, n in path)) for path in self.paths)
        return any(self._open_fills(total, 0) for total in self._totals(0))

    def ranks(self) -> list[int]:
        """The elements that may come next; none if the composition is complete."""
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
        if self.rule.compositions is not None:
            return self._letters_in_paths(rank, first)
        return [
            letter
            for letter, position in list(self.group.positions.items())[first:]
            if letter not in self.used and self._leads_on(rank, position)
        ]

    def may_end(self) -> bool:
        """Whether the composition is complete."""
        if self.rank is not None or not self.found:
            return False
        if self.rule.compositions is not None:
            return self.counts in self.paths
        total = sum(n for _, n in self.counts)
        complete = self.rule.ranks is None or len(self.counts) == len(self.rule.ranks)
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
        counts, here = self._with(self.rank, position.atoms)
        self.counts, self.rank = (*counts, here), None
        place = len(counts)
        self.paths = [
            path
            for path in self.paths
            if len(path) > place
            and path[:place] == counts
            and path[place][0] == here[0]
            and path[place][1] >= here[1]
        ]

    def _with(self, rank: int, atoms: int) -> tuple[Composition, tuple[int, int]]:
        """The elements before one that gets some atoms more, and that one with all its atoms."""
        if self.counts and self.counts[-1][0] == rank:
            return self.counts[:-1], (rank, self.counts[-1][1] + atoms)
        return self.counts, (rank, atoms)

    def _letters_in_paths(self, rank: int, first: int) -> list[str]:
        """The letters, from the first on, after which a composition can be completed."""
        counts, (_, written) = self._with(rank, 0)
        place = len(counts)
        found: set[str] = set()
        for path in self.paths:
            if len(path) > place and path[:place] == counts and path[place][0] == rank:
                later = tuple(sorted(n for _, n in path[place + 1 :]))
                need = path[place][1] - written
                found.update(letters_that_fill(self.group.number, first, need, later, self.used))
        return sorted(found, key=LETTERS.index)

    def _leads_on(self, rank: int, position: WyckoffPosition) -> bool:
        """Whether a text of an open composition can be completed after an orbit."""
        used = self.used if position.free else self.used | {position.letter}
        counts, (_, here) = self._with(rank, position.atoms)
        written = sum(n for _, n in counts) + here
        kinds = len(counts) + 1
        return any(
            self._open_fills(total - written, kinds, used) for total in self._totals(written)
        )

    def _totals(self, written: int) -> range:
        """Numbers of atoms that the whole cell may have."""
        exact = self.rule.num_atoms
        if exact is not None:
            return range(exact, exact + 1) if exact >= written else range(0)
        return range(max(written, 1), self.rule.largest + 1)

    def _open_fills(self, atoms: int, kinds: int, used: frozenset[str] = frozenset()) -> bool:
        """Whether this many more atoms can be placed, at least one per missing element."""
        missing = 0 if self.rule.ranks is None else len(self.rule.ranks) - kinds
        return most_orbits(self.group.number, atoms, used) >= missing
