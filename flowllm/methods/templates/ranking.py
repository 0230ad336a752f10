"""The nearest templates to a composition, and the structure that most of them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.methods.templates.prototype import Prototype, assignments, prototype_of
from flowllm.methods.templates.similarity import Similarity
from flowllm.methods.templates.stoichiometry import (
    Counts,
    Stoichiometry,
    counts_of,
    reduced,
    rows_by_counts,
)
from flowllm.methods.templates.table import TemplateTable

NEAR = 0.5
"""Distance over which a template's say in the volume falls by e.

Of 714 validation crystals whose prototype is found, 13.6 % of the volumes are off by more than 5 %
so; 16.1 % with the nearest template alone, 19.6 % with 2."""
ALL = 10**6


@dataclass(frozen=True)
class Candidate:
    """A structure for a composition: a prototype with its elements, and the template for it.

    Attributes:
        row: of the nearest template with this prototype and these roles.
        exchange: atomic number in the template -> atomic number in its place.
        prototype: the template's.
        log_share: logarithm of the share of all templates' votes that it has, votes falling by
            exp(-distance).
        log_votes: logarithm of its votes, which compares structures of several compositions.
        distance: of the template.
        volume: expected of the primitive cell, in Å^3.
    """

    row: int
    exchange: dict[int, int]
    prototype: Prototype
    log_share: float
    log_votes: float
    distance: float
    volume: float


class TemplateRanking:
    """Templates by stoichiometry, ranked for a composition.

    Args:
        table: the templates.
        similarity: how alike elements are.

    Attributes:
        rows: the templates of each stoichiometry.
    """

    def __init__(self, table: TemplateTable, similarity: Similarity) -> None:
        self.table, self.similarity = table, similarity
        self._between = similarity.between_elements()
        self.rows = rows_by_counts(table)
        self._gathered: dict[Counts, Stoichiometry] = {}

    def has(self, composition: dict[int, int]) -> bool:
        """Whether a template has the stoichiometry of {atomic number: atoms in the cell}."""
        return counts_of(composition) in self.rows

    def candidates(
        self,
        composition: dict[int, int],
        most: int = 1,
        *,
        same_formula: bool = True,
        space_group: int | None = None,
    ) -> list[Candidate]:
        """Candidates, likeliest first; none if no template has the stoichiometry.

        Args:
            composition: {atomic number: atoms in the primitive cell}.
            most: structures, which differ in prototype or in the roles of the elements.
            same_formula: take templates of the same reduced formula too.
            space_group: only of this one.
        """
        if not self.has(composition):
            return []
        counts = counts_of(composition)
        known = self._stoichiometry(counts)
        allowed = np.ones(len(known.rows), dtype=bool)
        if not same_formula:
            allowed &= known.formulas != known.known_formulas.get(reduced(composition), -1)
        if space_group is not None:
            allowed &= self.table.numbers[known.rows] == space_group
        places = np.flatnonzero(allowed)
        if not len(places):
            return []
        asked = np.array(assignments(counts, composition))  # (P, e), as `known.orders` are
        distances = self._distances(known, asked, places).ravel()
        groups = known.arrangement[known.prototype[places]].T.ravel()  # (P N,)
        shares = np.bincount(groups, np.exp(distances.min() - distances))
        order = np.argsort(distances, kind="stable")
        arrangements, first = np.unique(groups[order], return_index=True)
        found = []
        for k in np.argsort(-shares[arrangements], kind="stable")[:most].tolist():
            nearest = int(order[first[k]])
            own = np.flatnonzero(groups == arrangements[k])
            volume = self._volume(known, composition, places[own % len(places)], distances[own])
            place = places[nearest % len(places)]
            roles = asked[nearest // len(places)].tolist()
            found.append(
                Candidate(
                    int(known.rows[place]),
                    dict(zip(known.elements[place].tolist(), roles, strict=True)),
                    known.prototypes[known.prototype[place]],
                    float(np.log(shares[arrangements[k]] / shares.sum())),
                    float(np.log(shares[arrangements[k]]) - distances.min()),
                    float(distances[nearest]),
                    volume,
                )
            )
        return found

    def place_of(self, number: int, elements: list[int], letters: list[int]) -> int:
        """The rank of a structure among the candidates of its composition; -1 if absent.

        Args:
            number: of its space group.
            elements: atomic numbers of its orbits.
            letters: places of their letters in the alphabet.
        """
        prototype, roles, exchanges = prototype_of(number, elements, letters)
        composition = dict(zip(roles, prototype.counts, strict=True))
        same = {tuple(roles[k] for k in exchange) for exchange in exchanges}
        for place, found in enumerate(self.candidates(composition, ALL, same_formula=False)):
            by_role = prototype_of(*self.table.orbits_of(found.row))[1]
            if found.prototype == prototype and tuple(found.exchange[z] for z in by_role) in same:
                return place
        return -1

    def _distances(self, known: Stoichiometry, asked: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(P, N) distances of templates for each assignment of roles."""
        weights = self.similarity.weights(np.array(known.counts))
        distances: np.ndarray = np.zeros((len(asked), len(places)))
        for role, weight in enumerate(weights):
            pairs = self._between[asked[:, role][:, None], known.elements[places, role][None]]
            distances += weight * pairs
        return distances

    def _volume(
        self,
        known: Stoichiometry,
        composition: dict[int, int],
        places: np.ndarray,
        distances: np.ndarray,
    ) -> float:
        """Å^3 of a cell, by the volumes of m templates of one structure at some distances."""
        values = self.similarity.volumes
        shares = np.array(known.counts) / sum(known.counts)
        packing = known.log_volumes[places] - values[known.elements[places]] @ shares
        say = np.exp((distances.min() - distances) / NEAR)
        atoms = sum(composition.values())
        own = sum(values[z] * n for z, n in composition.items()) / atoms
        return float(atoms * np.exp((say * packing).sum() / say.sum() + own))

    def _stoichiometry(self, counts: Counts) -> Stoichiometry:
        if counts not in self._gathered:
            rows = self.rows[counts]
            self._gathered[counts] = Stoichiometry.gather(counts, rows, self.table)
        return self._gathered[counts]
