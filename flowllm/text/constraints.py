"""Decoding constraints: only tokens that keep a text a crystal, and the composition as asked.

A crystal's text is a path through a small automaton: nine tokens of cell, then atoms of four tokens
each, then the end. `CrystalState` walks along one text and says which tokens may come next; what it
leaves open is the language model's choice. Nothing is then rejected for its form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from transformers import PreTrainedTokenizerBase

from flowllm.crystal import MAX_ATOMS, cell_volumes
from flowllm.elements import ELECTRONEGATIVITY_ORDER, RANK_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.text import tokenizer as words
from flowllm.text.strings import MIN_VOLUME_FRACTION

LEGAL_ANGLES = range(59, 122)  # what Niggli reduction leaves, with a degree of rounding
LEGAL_LENGTHS = range(1, words.MAX_WHOLE + 1)


@dataclass(frozen=True)
class CompositionRule:
    """Which compositions a text may have.

    Attributes:
        compositions: the text has exactly one of these {element: atoms}; None leaves it open.
        elements: the text has exactly these elements; None leaves it open.
        num_atoms: the text has exactly this many atoms; None allows up to `max_atoms`.
        max_atoms: the most atoms.

    Raises:
        InputError: no composition satisfies the rule.
    """

    compositions: tuple[dict[str, int], ...] | None = None
    elements: tuple[str, ...] | None = None
    num_atoms: int | None = None
    max_atoms: int = MAX_ATOMS

    def __post_init__(self) -> None:
        if self.compositions is not None:
            kept = tuple(c for c in self.compositions if self._allows(c))
            if not kept:
                raise InputError("no composition fits what is asked together")
            object.__setattr__(self, "compositions", kept)
        elif self.elements is not None and len(self.elements) > (self.num_atoms or self.max_atoms):
            raise InputError(
                f"{len(self.elements)} elements do not fit in {self.num_atoms or self.max_atoms} atoms"
            )

    def _allows(self, composition: dict[str, int]) -> bool:
        count = sum(composition.values())
        return (
            count <= self.max_atoms
            and self.num_atoms in (None, count)
            and (self.elements is None or set(self.elements) == set(composition))
        )

    @cached_property
    def paths(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The compositions as ((rank, atoms), …) in the order of the text."""
        return tuple(
            tuple(sorted((RANK_OF[s], n) for s, n in c.items())) for c in self.compositions or ()
        )


class TokenTable:
    """The ids of the crystal's words in a compact tokenizer, by their role."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        def ids(texts: Sequence[str]) -> np.ndarray:
            return np.array([tokenizer.convert_tokens_to_ids(t) for t in texts])

        self.size = len(tokenizer)
        self.end = int(tokenizer.eos_token_id)
        self.first_lengths, self.lengths = ids(words.FIRST_LENGTHS), ids(words.LENGTHS)
        self.decimals = ids(words.DECIMALS)
        self.first_angles = ids([f"\n{n}" for n in LEGAL_ANGLES])
        self.next_angles = ids([f" {n}" for n in LEGAL_ANGLES])
        self.elements = ids([f"\n{s}" for s in ELECTRONEGATIVITY_ORDER])
        self.first_coords, self.next_coords = ids(words.FIRST_COORDS), ids(words.NEXT_COORDS)
        self.rank_of = {int(t): r for r, t in enumerate(self.elements)}
        self.angle_of = {int(t): n for n, t in zip(LEGAL_ANGLES, self.first_angles, strict=True)}
        self.angle_of |= {int(t): n for n, t in zip(LEGAL_ANGLES, self.next_angles, strict=True)}
        self.step_of = {int(t): n for n, t in enumerate(self.first_coords)}
        self.step_of |= {int(t): n for n, t in enumerate(self.next_coords)}
        known = {int(tokenizer.convert_tokens_to_ids(f"\n{s}")) for s in SYMBOLS[1:]}
        if len(known) != len(SYMBOLS) - 1 or int(self.next_coords[-1]) == tokenizer.unk_token_id:
            raise InputError("constraints need the compact tokenizer")


class CrystalState:
    """Where one text stands, and which tokens may follow.

    Args:
        table: the tokens by role.
        rule: which compositions are allowed.
    """

    def __init__(self, table: TokenTable, rule: CompositionRule) -> None:
        self.table, self.rule = table, rule
        self.position = 0
        self.angles: list[int] = []
        self.counts: list[tuple[int, int]] = []  # (rank, atoms) of the elements so far
        self.atom: list[int] = []  # steps of the coordinates of the atom being written
        self.previous: list[int] | None = None  # the atom of the same element before it
        self.finished = False

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next."""
        table = self.table
        if self.finished:
            return np.array([table.end])
        if self.position < 6:
            if self.position % 2:
                return table.decimals
            return table.lengths if self.position else table.first_lengths
        if self.position < 9:
            return self._angles()
        place = (self.position - 9) % 4
        return self._elements() if place == 0 else self._coords(place - 1)

    def advance(self, token: int) -> None:
        """Take the next token of the text."""
        table = self.table
        if token == table.end:
            self.finished = True
        elif 6 <= self.position < 9:
            self.angles.append(table.angle_of[token])
        elif self.position >= 9 and (self.position - 9) % 4 == 0:
            rank = table.rank_of[token]
            same = bool(self.counts) and self.counts[-1][0] == rank
            if same:
                self.counts[-1] = (rank, self.counts[-1][1] + 1)
            else:
                self.counts.append((rank, 1))
            self.previous, self.atom = (self.atom if same else None), []
        elif self.position >= 9:
            self.atom.append(table.step_of[token])
        self.position += 1

    def _angles(self) -> np.ndarray:
        place = self.position - 6
        choices = self.table.next_angles if place else self.table.first_angles
        if place < 2:
            return choices
        trial = np.array([[*self.angles, last] for last in LEGAL_ANGLES], dtype=float)
        fraction = cell_volumes(np.ones_like(trial), trial)
        return choices[fraction > 2 * MIN_VOLUME_FRACTION]

    def _elements(self) -> np.ndarray:
        if self.rule.compositions is not None:
            ranks, may_end = self._next_in_paths()
        else:
            ranks, may_end = self._next_in_open()
        tokens = self.table.elements[ranks]
        return np.append(tokens, self.table.end) if may_end else tokens

    def _next_in_paths(self) -> tuple[list[int], bool]:
        ranks, may_end = set(), False
        place = len(self.counts)
        for path in self.rule.paths:
            if not place:
                ranks.add(path[0][0])
                continue
            rank, count = self.counts[-1]
            if tuple(self.counts[:-1]) != path[: place - 1] or len(path) < place:
                continue
            wanted_rank, wanted = path[place - 1]
            if rank != wanted_rank or count > wanted:
                continue
            if count < wanted:
                ranks.add(rank)
            elif place < len(path):
                ranks.add(path[place][0])
            else:
                may_end = True
        return sorted(ranks), may_end

    def _next_in_open(self) -> tuple[list[int], bool]:
        written = sum(count for _, count in self.counts)
        target, most = self.rule.num_atoms, self.rule.num_atoms or self.rule.max_atoms
        last = self.counts[-1][0] if self.counts else -1
        if self.rule.elements is None:
            ranks = list(range(max(last, 0), len(self.table.elements))) if written < most else []
            return ranks, written > 0 and target in (None, written)
        order = sorted(RANK_OF[symbol] for symbol in self.rule.elements)
        waiting = [rank for rank in order if rank > last]
        ranks = waiting[:1]
        if self.counts and written + len(waiting) < most:
            ranks = [last, *ranks]
        return ranks, not waiting and target in (None, written)

    def _coords(self, place: int) -> np.ndarray:
        """Coordinates that keep the atoms of one element in strictly rising order."""
        choices = self.table.next_coords if place else self.table.first_coords
        before = self.previous
        if before is None or self.atom != before[:place]:
            return choices
        # equal so far: this coordinate must not fall behind, and must rise if nothing after it can
        rest_full = all(step == 99 for step in before[place + 1 :])
        first = before[place] + (1 if rest_full else 0)
        return choices[first:] if first < len(choices) else choices
