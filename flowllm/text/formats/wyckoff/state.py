"""Decoding constraints of symmetric texts: only tokens that keep the text valid.

A text is a path through four stages: the space group, the orbits, the cell, the coordinates.
`WyckoffState` walks along one text and says which tokens may come next; what it leaves open is the
language model's choice.
"""

from __future__ import annotations

from enum import Enum, auto

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.crystals.cells import lattice_matrices
from flowllm.crystals.elements import ELECTRONEGATIVITY_ORDER, NUMBER_OF
from flowllm.symmetry.space_group import SpaceGroup, WyckoffPosition, space_group
from flowllm.text.formats.wyckoff.cell import CellWriter
from flowllm.text.formats.wyckoff.contacts import CLOSEST, Surroundings, roomiest
from flowllm.text.formats.wyckoff.fixed import clearance_of_fixed, metrics_of
from flowllm.text.formats.wyckoff.orbits import OrbitChoice
from flowllm.text.formats.wyckoff.strings import CELL_PARAMETERS, whole_cell
from flowllm.text.formats.wyckoff.table import WyckoffTable

NUMBERS = np.array([NUMBER_OF[symbol] for symbol in ELECTRONEGATIVITY_ORDER])
GROUPS = range(1, 231)
LONGEST_CELL, ORBIT_TOKENS, COORD_TOKENS = 9, 2, 3
STEPS = np.arange(100) / 100  # of a coordinate


class Passage(Enum):
    """The current passage of a text."""

    GROUP = auto()
    ORBITS = auto()
    CELL = auto()
    COORDS = auto()
    END = auto()


class WyckoffState:
    """The state of one text, and which tokens may follow.

    Args:
        table: the tokens by role.
        rule: which compositions are allowed.
        group: the space group that is asked for; None leaves it open, as does one that has no
            positions for any of the compositions.
        overlap: whether atoms may be written on top of each other.

    Attributes:
        room: the shortest contact so far over the shortest allowed, and 1 at most; below, no place
            was left that keeps atoms apart, and the roomiest was taken.
        least: with no more room than this the text is ended at once.
    """

    def __init__(
        self, table: WyckoffTable, rule: CompositionRule, group: int | None, overlap: bool = False
    ) -> None:
        self.table, self.rule, self.asked, self.overlap = table, rule, group, overlap
        self.stage = Passage.GROUP
        self.room, self.least = 1.0, -np.inf
        self.tokens: list[int] = []  # of group and orbits, which a new draw begins with
        self.group: SpaceGroup | None = None
        self.orbits: OrbitChoice | None = None
        self.cell: CellWriter | None = None
        self.around: Surroundings | None = None
        self.waiting: list[tuple[int, WyckoffPosition]] = []  # orbits without their coordinates
        self.values: list[int] = []  # hundredths of the orbit that is being written
        self.tried: np.ndarray | None = None  # clearances by the coordinate that comes next

    @property
    def end(self) -> int:
        """The token that ends the text."""
        return self.table.end

    @property
    def longest(self) -> int:
        """The most tokens that the text can have, the end's among them."""
        return 2 + LONGEST_CELL + (ORBIT_TOKENS + COORD_TOKENS) * self.rule.largest

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next, at least one."""
        table = self.table
        if self.room <= self.least:
            return np.array([table.end])
        if self.stage is Passage.GROUP:
            return table.groups[[number - 1 for number in self._groups()]]
        if self.stage is Passage.ORBITS:
            assert self.orbits is not None
            return self._orbit_tokens(self.orbits)
        if self.stage is Passage.CELL:
            assert self.cell is not None
            return self.cell.allowed()
        if self.stage is Passage.COORDS:
            return self._coord_tokens()
        return np.array([table.end])

    def advance(self, token: int) -> None:
        """Take the next token of the text."""
        if token == self.table.end:
            return
        if self.stage is Passage.GROUP:
            self.tokens.append(token)
            self.group = space_group(self.table.group_of[token])
            self.orbits = OrbitChoice(self.group, self.rule)
            self.stage = Passage.ORBITS
        elif self.stage is Passage.ORBITS:
            self._advance_orbits(token)
        elif self.stage is Passage.CELL:
            self._advance_cell(token)
        elif self.stage is Passage.COORDS:
            self._advance_coords(token)

    def restarted(self) -> WyckoffState | None:
        """A state at the cell of the same orbits, to draw cell and coordinates again.

        None while the orbits are not complete.
        """
        if self.cell is None:
            return None
        again = WyckoffState(self.table, self.rule, self.asked, self.overlap)
        for token in self.tokens:
            again.advance(token)
        return again

    def _groups(self) -> list[int]:
        asked = () if self.asked is None else (self.asked,)
        for groups in (asked, GROUPS):
            fitting = [n for n in groups if OrbitChoice(space_group(n), self.rule).possible]
            if fitting:
                break
        return fitting

    # ---- orbits ----------------------------------------------------------------------------

    def _orbit_tokens(self, orbits: OrbitChoice) -> np.ndarray:
        table = self.table
        if orbits.rank is not None:
            assert self.group is not None
            positions = [self.group.positions[letter] for letter in orbits.letters(orbits.rank)]
            return np.array([table.position_of[position.label] for position in positions])
        tokens = table.elements[orbits.ranks()]
        return np.append(tokens, self._begin_cell().allowed()) if orbits.may_end() else tokens

    def _begin_cell(self) -> CellWriter:
        assert self.group is not None
        assert self.orbits is not None
        numbers = np.repeat(NUMBERS[[r for r, _ in self.orbits.found]],
                            [p.multiplicity for _, p in self.orbits.found])  # fmt: skip
        return CellWriter(self.table, self.group.family, numbers, self._fixed_clearance)

    def _advance_orbits(self, token: int) -> None:
        assert self.orbits is not None
        if token in self.table.rank_of and self.orbits.rank is None:
            self.orbits.begin(self.table.rank_of[token])
        elif self.orbits.rank is not None:
            self.orbits.put(self.table.letter_of[token])
        else:
            self.cell = self._begin_cell()
            self.stage = Passage.CELL
            self._advance_cell(token)
            return
        self.tokens.append(token)

    # ---- cell ------------------------------------------------------------------------------

    def _fixed_clearance(self, cells: np.ndarray) -> np.ndarray:
        """(C,) shortest contact over the shortest allowed, of orbits without free coordinates."""
        if self.overlap:
            return np.full(len(cells), np.inf)
        assert self.group is not None
        assert self.orbits is not None
        fixed = tuple((int(NUMBERS[r]), p.letter) for r, p in self.orbits.found if not p.free)
        metrics = metrics_of(*whole_cell(cells, self.group.family))
        return clearance_of_fixed(self.group.number, fixed, metrics)

    def _advance_cell(self, token: int) -> None:
        assert self.cell is not None
        self.room = min(self.room, self.cell.advance(token) / CLOSEST)
        assert self.group is not None
        assert self.orbits is not None
        if len(self.cell.values) < len(CELL_PARAMETERS[self.group.family]) or self.cell.half:
            return
        lengths, angles = whole_cell(self.cell.values, self.group.family)
        self.around = Surroundings(self.group, lattice_matrices(lengths[None], angles[None])[0])
        for rank, position in self.orbits.found:
            if position.free:
                self.waiting.append((int(NUMBERS[rank]), position))
            else:
                self.around.add(int(NUMBERS[rank]), position, position.constant)
        self.stage = Passage.COORDS if self.waiting else Passage.END

    # ---- coordinates -----------------------------------------------------------------------

    def _coord_tokens(self) -> np.ndarray:
        number, position = self.waiting[0]
        table, group = self.table, self.group
        assert group is not None
        assert self.around is not None
        choices = table.next_coords if self.values else table.first_coords
        axis = position.free[len(self.values)]
        if group.polar[axis] and not self._placed():
            return choices[:1]  # the origin lies on the first orbit
        if self.overlap or len(self.values) + 1 < len(position.free):
            return choices
        trial = np.empty((len(STEPS), len(position.free)))
        trial[:, :-1], trial[:, -1] = np.array(self.values) / 100, STEPS
        self.tried = self.around.clearance(number, position, position.place(trial))
        free = self.tried >= CLOSEST
        return choices[free] if free.any() else choices[[roomiest(self.tried)]]

    def _placed(self) -> bool:
        """Whether the first orbit, with coordinates 0 along polar axes, is already placed."""
        assert self.orbits is not None
        return len(self.waiting) < len(self.orbits.found)

    def _advance_coords(self, token: int) -> None:
        number, position = self.waiting[0]
        assert self.around is not None
        self.values.append(self.table.step_of[token])
        if len(self.values) < len(position.free):
            return
        point = position.place(np.array(self.values) / 100)
        if not self.overlap:
            if self.tried is not None:
                clearance = self.tried[self.values[-1]]
            else:
                clearance = self.around.clearance(number, position, point[None])[0]
            self.room = min(self.room, float(clearance) / CLOSEST)
        self.tried = None
        self.around.add(number, position, point)
        self.waiting, self.values = self.waiting[1:], []
        if not self.waiting:
            self.stage = Passage.END
