"""Which templates are nearest to a composition, and which structure most of the near ones have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from flowllm.methods.templates.prototype import Prototype
from flowllm.methods.templates.similarity import Similarity
from flowllm.methods.templates.stoichiometry import (
    Counts,
    Stoichiometry,
    assignments,
    counts_of,
    reduced,
)
from flowllm.methods.templates.table import TemplateTable


@dataclass(frozen=True)
class Candidate:
    """A structure for a composition: a prototype with its elements, and the template for it.

    Attributes:
        row: of the nearest template with this prototype and these roles.
        exchange: atomic number in the template -> atomic number in its place.
        prototype: the template's.
        log_share: logarithm of the share of all templates' votes that it has, votes falling by
            exp(-distance).
        distance: of the template.
    """

    row: int
    exchange: dict[int, int]
    prototype: Prototype
    log_share: float
    distance: float


class TemplateRanking:
    """Templates by stoichiometry, ranked for a composition.

    Args:
        table: the templates.
        similarity: how alike elements are.
    """

    def __init__(self, table: TemplateTable, similarity: Similarity) -> None:
        self.table, self.similarity = table, similarity
        self._between = similarity.between_elements()
        self._rows: dict[Counts, list[int]] = {}
        for row in range(len(table)):
            self._rows.setdefault(counts_of(table.counts(row)), []).append(row)
        self._gathered: dict[Counts, Stoichiometry] = {}

    def stoichiometries(self) -> Collection[Counts]:
        """The numbers of atoms that templates have."""
        return self._rows.keys()

    def candidates(
        self,
        composition: dict[int, int],
        most: int = 1,
        *,
        same_formula: bool = True,
        space_group: int | None = None,
    ) -> list[Candidate]:
        """The likeliest structures first; none where no template has the stoichiometry.

        Args:
            composition: {atomic number: atoms in the primitive cell}.
            most: structures, which differ in prototype or in the roles of the elements.
            same_formula: take templates of the same reduced formula too.
            space_group: only of this one.
        """
        counts = counts_of(composition)
        if counts not in self._rows:
            return []
        known = self._stoichiometry(counts)
        allowed = np.ones(len(known.rows), dtype=bool)
        if not same_formula:
            own = reduced(composition)
            allowed &= np.array([formula != own for formula in known.formulas])
        if space_group is not None:
            allowed &= self.table.numbers[known.rows] == space_group
        if not allowed.any():
            return []
        places = np.flatnonzero(allowed)
        asked = np.array(assignments(counts, composition))  # (P, e), as `known.orders` are
        distances = self._distances(known, asked, places)
        votes = np.exp(-(distances - distances.min()))
        group = known.arrangement[known.prototype[places]].T  # (P, N)
        shares = np.bincount(group.ravel(), votes.ravel())
        order = np.argsort(distances.ravel(), kind="stable")
        arrangements, first = np.unique(group.ravel()[order], return_index=True)
        ranked = np.argsort(-shares[arrangements], kind="stable")[:most]
        total, found = np.log(shares.sum()), []
        for k in ranked.tolist():
            way, place = np.unravel_index(order[first[k]], distances.shape)
            place = places[place]
            template = known.elements[place].tolist()
            found.append(
                Candidate(
                    int(known.rows[place]),
                    dict(zip(template, asked[way].tolist(), strict=True)),
                    known.prototypes[known.prototype[place]],
                    float(np.log(shares[arrangements[k]]) - total),
                    float(distances.ravel()[order[first[k]]]),
                )
            )
        return found

    def _distances(
        self, known: Stoichiometry, asked: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """(P, N) distances of templates for each way to give the roles to the elements."""
        weights = self.similarity.weights(np.array(known.counts))
        distances: np.ndarray = np.zeros((len(asked), len(places)))
        for role, weight in enumerate(weights):
            pairs = self._between[asked[:, role][:, None], known.elements[places, role][None]]
            distances += weight * pairs
        return distances

    def _stoichiometry(self, counts: Counts) -> Stoichiometry:
        if counts not in self._gathered:
            rows = self._rows[counts]
            self._gathered[counts] = Stoichiometry.gather(counts, rows, self.table)
        return self._gathered[counts]
