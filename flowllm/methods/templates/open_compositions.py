"""Crystals of open compositions, or of given elements or formula.

Where nothing or a number of atoms is asked for, the composition is that of a random template with
other elements. Where elements and a space group are asked for, the templates of that space group
and that number of elements say which composition goes with them: all elements are put in all
places of each. With a formula they say which multiple of it the cell is.
"""

from __future__ import annotations

from functools import cached_property
from itertools import permutations

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.methods.templates.cells import Composition, cells_of, ranked_for
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.exchange import Exchange, drawn
from flowllm.methods.templates.ranking import Candidate, TemplateRanking
from flowllm.methods.templates.settings import TemplateSettings
from flowllm.methods.templates.stoichiometry import Counts, counts_of
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.text.formats.wyckoff.contacts import CLOSEST, closest

OPEN = {"num_atoms", "space_group"}
"""What may be asked where the elements are open too."""
TINY = 1e-12
EXCHANGES = 20
"""How often the elements of a template are exchanged, until its votes are sure of the result.
Another template at once would be one of those whose votes are sure more often: of intermetallic
compounds rather than of oxides."""
FARTHEST = 2.0
"""How far the template of a structure may be from a composition where no space group is asked for;
of one there may be few templates. Of 510 new compositions, relaxed, 6 % below a distance of 2 and
25 % beyond changed their volume by over 5 %."""
TEMPLATES = 5
"""How many templates are tried, one after the other, where no exchange is."""


class OpenCompositions:
    """Draws crystals of compositions derived from templates.

    Args:
        ranking: of the templates.
        exchange: draws other elements.
    """

    def __init__(self, ranking: TemplateRanking, exchange: Exchange) -> None:
        self.ranking, self.exchange = ranking, exchange
        table = ranking.table
        self._sizes = np.add.reduceat(table.atoms, table.first_orbit[:-1])

    def choose(self, asked: Conditions) -> bool:
        """Whether templates can choose the composition, or the multiple of a formula.

        They do where no other conditions are asked for than those that they heed, and one of them
        is of the space group that is. Formula and elements are left to them only with a space
        group.
        """
        known = set(asked.known())
        if asked.space_group is None or known - {"formula", "elements", *OPEN}:
            return known <= OPEN
        if asked.formula is not None:
            return bool(self._cells(asked))
        fits = self.ranking.table.numbers == asked.space_group
        if asked.num_atoms is not None:
            fits &= self._sizes == asked.num_atoms
        if asked.elements is not None:
            fits &= self._kinds == len(set(asked.elements))
        return bool(fits.any())

    @cached_property
    def _kinds(self) -> np.ndarray:
        """(T,) how many elements each template has."""
        kinds = np.zeros(len(self.ranking.table), dtype=np.int64)
        for counts, rows in self.ranking.rows.items():
            kinds[rows] = len(counts)
        return kinds

    @property
    def largest(self) -> int:
        """Atoms of the largest template."""
        return int(self._sizes.max())

    def invented(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> SymmetricCrystal | None:
        """A crystal of a composition obtained by exchanging a template's elements.

        Args:
            asked: number of atoms and space group are heeded; where a space group is asked for,
                formula and elements too, which the crystal then has exactly.
            settings: of exchange, choice and confidence.
            rng: where the numbers come from.

        Returns:
            None where the votes are sure of none, atoms would be too close, or no template of the
            space group has counts for the formula or elements.

        Raises:
            InputError: no template has the number of atoms.
        """
        if asked.space_group and (asked.elements or asked.formula):
            return self._of_group(asked, settings, rng)
        rows = self.rows(asked)
        least = np.log(max(settings.confidence, TINY))
        farthest, only_new = np.inf if asked.space_group else FARTHEST, False
        for row in self.exchange.in_turn(rows, TEMPLATES, rng):
            for _ in range(EXCHANGES):
                cell = self.exchange.composition(row, settings.exchange, rng)
                ranked = ranked_for(
                    self.ranking, cell, asked.space_group, settings.candidates,
                    settings.same_formula,
                )  # fmt: skip
                new = all(candidate.distance for candidate in ranked)
                if ranked and (new or not only_new):
                    scores = np.array([candidate.log_share for candidate in ranked])
                    chosen = ranked[drawn(scores, settings.choice, rng)]
                    crystal = dressed(self.ranking.table, chosen)
                    sure = chosen.log_share >= least and chosen.distance <= farthest
                    if sure and closest(crystal) >= 1:
                        return crystal
                    # known ones, which the votes are sure of, would take the turns of new ones
                    only_new |= new and not asked.space_group
        return None

    def structures(
        self, asked: Conditions, most: int, same_formula: bool = True
    ) -> list[Candidate]:
        """The structures of a space group with the most votes, over all cells under the conditions.

        Args:
            asked: a space group, and elements or a formula.
            most: structures.
            same_formula: take templates of the same reduced formula as the crystal's too.
        """
        found = [
            candidate
            for cell in self._cells(asked)
            for candidate in self.ranking.candidates(
                cell, most, same_formula=same_formula, space_group=asked.space_group
            )
        ]
        return sorted(found, key=lambda candidate: -candidate.log_votes)[:most]

    def _of_group(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> SymmetricCrystal | None:
        """One of the structures with the most votes over all cells of the elements or formula.

        None where no template has the space group and such counts, or atoms would be too close in
        all of the structures.
        """
        found = self.structures(asked, settings.candidates, settings.same_formula)
        while found:
            scores = np.array([candidate.log_votes for candidate in found])
            candidate = found.pop(drawn(scores, settings.choice, rng))
            crystal = dressed(self.ranking.table, candidate)
            if closest(crystal) >= CLOSEST:
                return crystal
        return None

    def _cells(self, asked: Conditions) -> list[Composition]:
        """The cells of a formula, or of elements, whose counts templates of a space group have."""
        if asked.formula is not None:
            cells = cells_of(asked, self.largest) or []
            return [cell for cell in cells if self._has_group(counts_of(cell), asked.space_group)]
        elements = [NUMBER_OF[symbol] for symbol in asked.elements or ()]
        return [
            dict(zip(elements, order, strict=True))
            for counts in self.ranking.rows
            if len(counts) == len(elements) and asked.num_atoms in (None, sum(counts))
            if self._has_group(counts, asked.space_group)
            for order in sorted(set(permutations(counts)))
        ]

    def _has_group(self, counts: Counts, space_group: int | None) -> bool:
        rows = self.ranking.rows.get(counts, [])
        return bool((self.ranking.table.numbers[rows] == space_group).any())

    def rows(self, asked: Conditions) -> np.ndarray:
        """Templates with the number of atoms, and with the space group if there are any.

        Raises:
            InputError: there is none of the number of atoms.
        """
        rows = np.arange(len(self.ranking.table))
        if asked.num_atoms is not None:
            rows = rows[self._sizes == asked.num_atoms]
            if not len(rows):
                raise InputError(f"no training crystal has {asked.num_atoms} atoms")
        if asked.space_group is not None:
            own = rows[self.ranking.table.numbers[rows] == asked.space_group]
            rows = own if len(own) else rows
        return rows
