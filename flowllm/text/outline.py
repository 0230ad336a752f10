"""Decoding constraints for the sentences that the model writes into a prompt itself.

A crystal is written from the coarse to the fine: first which atoms its cell holds, then the space
group, then the cell and the places of the atoms. A state walks along the value of one sentence and
says which tokens may come next, as the state of a format does for the crystal's text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.symmetry.filling import can_be_completed, groups_with_sites, has_sites
from flowllm.text.decoding_state import DecodingState
from flowllm.text.token_table import SPACE_GROUPS, PromptTable


class CompositionState:
    """The value of a composition sentence, as in " Sr1 Ti1 O3. ".

    Args:
        table: the tokens by role.
        rule: which compositions are allowed.
    """

    def __init__(self, table: PromptTable, rule: CompositionRule) -> None:
        self.table, self.rule = table, rule
        self.parts: list[tuple[int, int]] = []  # (rank, atoms) of the elements so far
        self.rank: int | None = None  # an element whose count comes next

    @property
    def end(self) -> int:
        """The token that ends the sentence."""
        return self.table.stop

    @property
    def longest(self) -> int:
        """The most tokens of the value, its full stop among them."""
        return 2 * min(self.rule.largest, len(self.table.prompt_elements)) + 1

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next, at least one."""
        if self.rule.compositions is not None:
            choices, may_end = self._in_paths()
        else:
            choices, may_end = self._in_open()
        if self.rank is not None:
            return self.table.counts[[count - 1 for count in choices]]
        tokens = self.table.prompt_elements[choices]
        return np.append(tokens, self.table.stop) if may_end else tokens

    def advance(self, token: int) -> None:
        """Take the next token of the value."""
        if token == self.table.stop:
            return
        if self.rank is None:
            self.rank = self.table.prompt_rank_of[token]
        else:
            self.parts.append((self.rank, self.table.count_of[token]))
            self.rank = None

    def _in_paths(self) -> tuple[list[int], bool]:
        """Ranks, or counts, that continue one of the rule's compositions."""
        place, before = len(self.parts), tuple(self.parts)
        paths = [path for path in self._fitting_paths if path[:place] == before]
        longer = [path for path in paths if len(path) > place]
        if self.rank is not None:
            return sorted({p[place][1] for p in longer if p[place][0] == self.rank}), False
        return sorted({p[place][0] for p in longer}), before in paths

    def _in_open(self) -> tuple[list[int], bool]:
        """Ranks, or counts, that leave an atom for each required element."""
        last = self.parts[-1][0] if self.parts else -1
        last = last if self.rank is None else self.rank
        left = self.rule.largest - sum(count for _, count in self.parts)
        if self.rule.ranks is None:
            following, must_follow = [r for r in self.rule.open_ranks if r > last], 0
        else:
            following = [rank for rank in self.rule.ranks if rank > last]
            must_follow = len(following)
            following = following[:1]
        exact = self.rule.num_atoms is not None
        if self.rank is not None:
            most = left - must_follow
            # the last element of all takes what is left of a number of atoms that is asked for
            counts = list(range(most if exact and not following else 1, most + 1))
            return [count for count in counts if self._has_sites_for(count)] or counts, False
        may_end = bool(self.parts) and not must_follow and not (exact and left)
        if may_end and not any(map(self._has_sites_for, range(1, left + 1))):
            return [], True
        return following if left else [], may_end

    @cached_property
    def _fitting_paths(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The rule's compositions, restricted to those its space group has sites for, if any."""
        group, paths = self.rule.space_group, self.rule.paths
        if group is None:
            return paths
        return tuple(p for p in paths if has_sites(group, (n for _, n in p))) or paths

    def _has_sites_for(self, count: int) -> bool:
        """Whether the rule's space group has sites for an element more, of so many atoms."""
        if self.rule.space_group is None:
            return True
        elements = None if self.rule.ranks is None else len(self.rule.ranks)
        counts = tuple(sorted((*(n for _, n in self.parts), count)))
        return can_be_completed(self.rule.space_group, counts, elements, self.rule.sizes)


class SpaceGroupState:
    """The value of a space-group sentence, as in " 221. ", of a group that has sites for the atoms.

    Args:
        table: the tokens by role.
        rule: which compositions are allowed; where it leaves them open, so are the groups.
    """

    def __init__(self, table: PromptTable, rule: CompositionRule) -> None:
        self.table, self.rule = table, rule
        self.written = False

    @property
    def end(self) -> int:
        """The token that ends the sentence."""
        return self.table.stop

    @property
    def longest(self) -> int:
        """The number and its full stop."""
        return 2

    def allowed(self) -> np.ndarray:
        """(K,) ids of the tokens that may come next, at least one."""
        if self.written:
            return np.array([self.table.stop])
        cells = [tuple(sorted(cell.values())) for cell in self.rule.compositions or ()]
        if not cells:
            return self.table.space_groups
        fits = sorted({number for cell in cells for number in groups_with_sites(cell)})
        return self.table.space_groups[np.array(fits, dtype=np.int64) - SPACE_GROUPS[0]]

    def advance(self, token: int) -> None:
        """Take the next token of the value."""
        self.written = True


OUTLINE_STATES: dict[str, Callable[[PromptTable, CompositionRule], DecodingState]] = {
    "composition": CompositionState,
    "space_group": SpaceGroupState,
}
"""The state of each sentence that a format's outline may have."""
