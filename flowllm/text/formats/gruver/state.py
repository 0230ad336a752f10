"""Decoding constraints: only tokens that keep the text valid and meet the composition.

A crystal's text is a path through a small automaton: nine tokens of cell, then atoms of four tokens
each, then the end. `GruverState` walks along one text and says which tokens may come next; what it
leaves open is the language model's choice. Nothing is then rejected for its form.
"""

from __future__ import annotations

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.crystals.elements import ELECTRONEGATIVITY_ORDER, NUMBER_OF
from flowllm.text.formats.gruver.table import GruverTable
from flowllm.text.formats.overlap import CLOSEST_CONTACT, Sites

LAST_SITE = 100**3 - 1  # a site is the place of x, y, z among all coordinates of two decimals
CELL_TOKENS, ATOM_TOKENS = 9, 4
_NUMBERS = [NUMBER_OF[symbol] for symbol in ELECTRONEGATIVITY_ORDER]


class GruverState:
    """The state of one text, and which tokens may follow.

    Args:
        table: the tokens by role.
        rule: which compositions are allowed.
        overlap: whether an atom may be written on top of another (`flowllm.text.formats.overlap`).
    """

    def __init__(self, table: GruverTable, rule: CompositionRule, overlap: bool = False) -> None:
        self.table, self.rule, self.overlap = table, rule, overlap
        self.position = 0
        self.sites: Sites | None = None  # the atoms so far, once the cell is known
        self.lengths: list[float] = []
        self.angles: list[int] = []
        self.counts: list[tuple[int, int]] = []  # (rank, atoms) of the elements so far
        self.atom: list[int] = []  # steps of the coordinates of the atom being written
        self.low = self.high = _digits(0)  # between which the atom being written must lie
        self.finished = False

    @property
    def end(self) -> int:
        """The token that ends the text."""
        return self.table.end

    @property
    def longest(self) -> int:
        """The most tokens that a text can have, the end's among them."""
        return CELL_TOKENS + ATOM_TOKENS * self.rule.largest + 1

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next, at least one."""
        table = self.table
        if self.finished:
            return np.array([table.end])
        if self.position < 6:
            if self.position % 2:
                return table.decimals
            return table.lengths if self.position else table.first_lengths
        if self.position < CELL_TOKENS:
            return self._angles()
        place = (self.position - CELL_TOKENS) % ATOM_TOKENS
        return self._elements() if place == 0 else self._coords(place - 1)

    def advance(self, token: int) -> None:
        """Take the next token of the text."""
        table = self.table
        if token == table.end:
            self.finished = True
        elif self.position < 6:
            if self.position % 2:
                self.lengths[-1] += table.decimal_of[token]
            else:
                self.lengths.append(table.whole_of[token])
        elif self.position < CELL_TOKENS:
            self.angles.append(table.angle_of[token])
            if self.position == CELL_TOKENS - 1 and not self.overlap:
                self.sites = Sites(self.lengths, self.angles)
        elif self.position >= CELL_TOKENS:
            if (self.position - CELL_TOKENS) % ATOM_TOKENS == 0:
                self._begin_atom(table.rank_of[token])
            else:
                self.atom.append(table.step_of[token])
                if len(self.atom) == 3 and self.sites is not None:
                    self.sites.add(_NUMBERS[self.counts[-1][0]], [x / 100 for x in self.atom])
        self.position += 1

    def _begin_atom(self, rank: int) -> None:
        """Begin an atom: coordinates ascend within an element and leave room for the rest."""
        first = 0
        if self.counts and self.counts[-1][0] == rank:
            self.counts[-1] = (rank, self.counts[-1][1] + 1)
            first = _site(self.atom) + 1
        else:
            self.counts.append((rank, 1))
        self.atom = []
        self.low, self.high = _digits(first), _digits(LAST_SITE - self._must_follow())

    def _must_follow(self) -> int:
        """The least number of further atoms of the current element in any continuation."""
        rank, count = self.counts[-1]
        place = len(self.counts)
        if self.rule.compositions is not None:
            return min(path[place - 1][1] - count for path in self._paths_left())
        last = (self.rule.ranks or self.rule.open_ranks)[-1]
        if rank == last and self.rule.num_atoms is not None:
            return self.rule.num_atoms - sum(n for _, n in self.counts)
        return 0

    def _angles(self) -> np.ndarray:
        if len(self.angles) == 2:
            return self.table.last_angles(*self.angles)
        return self.table.next_angles if self.angles else self.table.first_angles

    def _elements(self) -> np.ndarray:
        # how many sites are left behind the last atom, for more of its element
        room = LAST_SITE - _site(self.atom) if self.counts else 0
        if self.rule.compositions is not None:
            ranks, may_end = self._next_in_paths(room)
        else:
            ranks, may_end = self._next_in_open(room)
        tokens = self.table.elements[ranks]
        return np.append(tokens, self.table.end) if may_end else tokens

    def _paths_left(self) -> list[tuple[tuple[int, int], ...]]:
        """The compositions compatible with the text so far."""
        place = len(self.counts)
        if not place:
            return list(self.rule.paths)
        before, (rank, count) = tuple(self.counts[:-1]), self.counts[-1]
        return [
            path
            for path in self.rule.paths
            if len(path) >= place
            and path[: place - 1] == before
            and path[place - 1][0] == rank
            and path[place - 1][1] >= count
        ]

    def _next_in_paths(self, room: int) -> tuple[list[int], bool]:
        ranks, may_end = set(), False
        place = len(self.counts)
        for path in self._paths_left():
            missing = path[place - 1][1] - self.counts[-1][1] if place else 0
            if missing > 0:
                if missing <= room:
                    ranks.add(path[place - 1][0])
            elif place < len(path):
                ranks.add(path[place][0])
            else:
                may_end = True
        return sorted(ranks), may_end

    def _next_in_open(self, room: int) -> tuple[list[int], bool]:
        written = sum(count for _, count in self.counts)
        target, most = self.rule.num_atoms, self.rule.largest
        last = self.counts[-1][0] if self.counts else -1
        if self.rule.ranks is None:
            first = last if room else last + 1
            ranks = [rank for rank in self.rule.open_ranks if rank >= first]
            return ranks if written < most else [], written > 0 and target in (None, written)
        waiting = [rank for rank in self.rule.ranks if rank > last]
        ranks = waiting[:1]
        if room and written + len(waiting) < most:
            ranks = [last, *ranks]
        return ranks, not waiting and target in (None, written)

    def _coords(self, place: int) -> np.ndarray:
        """Coordinates that keep the atom's site between `low` and `high`, and off other atoms.

        Where the line left to the last coordinate contains no free place, its roomiest is taken.
        """
        choices = self.table.next_coords if place else self.table.first_coords
        first = self.low[place] if self.atom == self.low[:place] else 0
        last = self.high[place] if self.atom == self.high[:place] else 99
        if place < 2 or self.sites is None:
            return choices[first : last + 1]
        steps = np.arange(first, last + 1)
        x, y = (np.full(len(steps), step) for step in self.atom)
        trial = np.stack([x, y, steps], 1) / 100
        clearance = self.sites.clearance(_NUMBERS[self.counts[-1][0]], trial)
        free = clearance >= CLOSEST_CONTACT
        return choices[steps[free]] if free.any() else choices[steps[[clearance.argmax()]]]


def _digits(site: int) -> list[int]:
    """The three steps of a site."""
    return [site // 10_000, site // 100 % 100, site % 100]


def _site(steps: list[int]) -> int:
    x, y, z = steps
    return x * 10_000 + y * 100 + z
