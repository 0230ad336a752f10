"""Crystals of compositions that are left open, or of which the elements are known.

Where nothing or a number of atoms is asked for, the composition is that of a random template with
other elements. Where elements and a space group are asked for, the templates of that space group
and that number of elements say which composition goes with them: all elements are put in all
places of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import permutations

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.methods.templates.cells import ranked_for
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.exchange import Exchange, drawn
from flowllm.methods.templates.ranking import Candidate, TemplateRanking
from flowllm.methods.templates.settings import TemplateSettings
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.text.formats.wyckoff.contacts import CLOSEST, closest

OPEN = {"num_atoms", "space_group"}
"""What may be asked where the elements are open too."""
TINY = 1e-12
EXCHANGES = 20
"""How often the elements of a template are exchanged, until its votes are sure of the result.
Another template at once would be one of those whose votes are sure more often: of intermetallic
compounds rather than of oxides."""
TEMPLATES = 5
"""How many templates are tried, one after the other, where no exchange is."""


def leaves_choice(asked: Conditions) -> bool:
    """Whether templates can choose the composition: there are no other conditions than they heed.

    Elements are left to them only with a space group.
    """
    known = set(asked.known())
    return known <= OPEN or {"elements", "space_group"} <= known <= {"elements", *OPEN}


class OpenCompositions:
    """Draws crystals of compositions that templates come to.

    Args:
        ranking: of the templates.
        exchange: draws other elements.
    """

    def __init__(self, ranking: TemplateRanking, exchange: Exchange) -> None:
        self.ranking, self.exchange = ranking, exchange
        table = ranking.table
        self._sizes = np.add.reduceat(table.atoms, table.first_orbit[:-1])

    def chooses_size(self, asked: Conditions) -> bool:
        """Whether templates say how many atoms go with the elements and the space group."""
        elements = set(asked.elements or ())
        return leaves_choice(asked) and (asked.space_group, len(elements)) in self._known

    @cached_property
    def _known(self) -> set[tuple[int | None, int]]:
        """(space group, number of elements) of all templates."""
        numbers = self.ranking.table.numbers
        return {
            (number, len(counts))
            for counts, rows in self.ranking.rows.items()
            for number in np.unique(numbers[rows]).tolist()
        }

    @property
    def largest(self) -> int:
        """Atoms of the largest template."""
        return int(self._sizes.max())

    def invented(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> SymmetricCrystal | None:
        """A crystal of a composition that a template comes to when its elements are exchanged.

        Args:
            asked: number of atoms and space group are heeded; elements where a space group is asked
                for, of which the crystal then is exactly.
            settings: of exchange, choice and confidence.
            rng: where the numbers come from.

        Returns:
            None where the votes are sure of none, atoms would be too close, or no template has the
            space group and so many elements.

        Raises:
            InputError: no template has the number of atoms.
        """
        if asked.elements and asked.space_group:
            return self._of_elements(asked, settings, rng)
        rows = self.rows(asked)
        least = np.log(max(settings.confidence, TINY))
        for row in rng.choice(rows, min(TEMPLATES, len(rows)), replace=False).tolist():
            for _ in range(EXCHANGES):
                cell = self.exchange.composition(row, settings.exchange, rng)
                ranked = ranked_for(
                    self.ranking, cell, asked.space_group, settings.candidates,
                    settings.same_formula,
                )  # fmt: skip
                if ranked:
                    scores = np.array([candidate.log_share for candidate in ranked])
                    chosen = ranked[drawn(scores, settings.choice, rng)]
                    crystal = dressed(self.ranking.table, chosen)
                    if chosen.log_share >= least and closest(crystal) >= 1:
                        return crystal
        return None

    def _of_elements(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> SymmetricCrystal | None:
        """One of the structures with the most votes over all compositions of the elements.

        None where no template has the space group, the number of elements and that of atoms, or
        atoms would be too close in all of the structures.
        """
        elements = [NUMBER_OF[symbol] for symbol in asked.elements or ()]
        group = asked.space_group or 0
        found: list[Candidate] = []
        for cell in self._cells(elements, group, asked.num_atoms):
            found += self.ranking.candidates(
                cell, settings.candidates, same_formula=settings.same_formula, space_group=group
            )
        found = sorted(found, key=lambda candidate: -candidate.log_votes)[: settings.candidates]
        while found:
            scores = np.array([candidate.log_votes for candidate in found])
            candidate = found.pop(drawn(scores, settings.choice, rng))
            crystal = dressed(self.ranking.table, candidate)
            if closest(crystal) >= CLOSEST:
                return crystal
        return None

    def _cells(
        self, elements: Sequence[int], space_group: int, atoms: int | None
    ) -> list[dict[int, int]]:
        """The compositions {atomic number: atoms} whose counts templates of a space group have."""
        numbers = self.ranking.table.numbers
        return [
            dict(zip(elements, order, strict=True))
            for counts, rows in self.ranking.rows.items()
            if len(counts) == len(elements) and atoms in (None, sum(counts))
            if (numbers[rows] == space_group).any()
            for order in sorted(set(permutations(counts)))
        ]

    def rows(self, asked: Conditions) -> np.ndarray:
        """Templates of the number of atoms, and where there are any of the space group.

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
