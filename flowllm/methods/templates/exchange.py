"""New compositions: a template's, with each element exchanged for a similar one.

How often one element takes the place of another is symmetric, and such that elements come as often
as in the templates. Drawn by likeness alone, the elements that have many others like them would
take over: the crystals would hold more rare earths than the data, less oxygen, and be too dense.

Hydrogen, carbon, nitrogen, oxygen and fluorine stay where they are, and other non-metals take each
other's places within their group of the periodic table. By the templates oxygen and fluorine are
alike, because many prototypes have compounds of both, but those have other cations: exchanged
alone they leave the charges unbalanced (docs/experiments.md, "Compositions by exchange").
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.methods.templates.similarity import Similarity
from flowllm.methods.templates.table import TemplateTable

TINY = 1e-9
ROUNDS = 300  # of balancing
STEPS = 50  # in 1 of a weight: as fine as balances are kept
NON_METALS = ("H", "C", "N", "O", "F", "S Se Te", "Cl Br I", "He Ne Ar Kr Xe Rn")
"""Those that take each other's places only; P, B, Si, Ge, As and Sb take those of metals too."""


class Exchange:
    """Draws substitutes for elements.

    Args:
        table: the templates; only their elements are drawn.
        similarity: how alike elements are.
    """

    def __init__(self, table: TemplateTable, similarity: Similarity) -> None:
        self.table, self.similarity = table, similarity
        found, often = np.unique(table.elements, return_counts=True)
        self.known = found.astype(np.int64)
        self._often = np.log(np.bincount(found, often, len(SYMBOLS)) + TINY)
        self._between = similarity.between_elements()
        self._kinds = kinds_of_elements()
        self._partners = [self.known[self._kinds[self.known] == kind] for kind in self._kinds]
        self._balances: dict[tuple[int, float, bool], np.ndarray] = {}

    def in_turn(self, rows: np.ndarray, most: int, rng: np.random.Generator) -> list[int]:
        """A random order of templates, tried until an exchange is confident.

        These have the same non-metals and number of elements if there are such. Others would be
        intermetallic compounds rather than oxides, since the votes are surer of those.

        Args:
            rows: of the templates to choose from, at least one.
            most: templates.
            rng: where the numbers come from.
        """
        order = rng.permutation(rows)
        unlike = self._classes[order] != self._classes[order[0]]
        return order[np.argsort(unlike, kind="stable")][:most].tolist()

    def composition(self, row: int, temperature: float, rng: np.random.Generator) -> dict[int, int]:
        """{atomic number: atoms} of a template with at least one other element.

        Where its non-metals leave no element to be exchanged, as in diamond, any may be.

        Args:
            row: of the template.
            temperature: of the draw by how often elements take each other's places, which falls
                with exp(-distance / temperature); 0 takes the most alike.
            rng: where the numbers come from.
        """
        own = self.table.counts(row)
        counts = np.array(list(own.values()))
        weights = self.similarity.weights(counts)
        elements = list(own)
        order = rng.permutation(len(own)).tolist()
        able = [k for k in order if len(np.setdiff1d(self._partners[elements[k]], elements))]
        moved = (able or order)[0]  # by an element that the template does not have
        found: dict[int, int] = {}
        for place in rng.permutation(len(own)).tolist():
            z = elements[place]
            barred = {*found, *own} if place == moved else {*found}
            partners = self._partners[z] if able or place != moved else self.known
            free = [k for k in partners.tolist() if k not in barred] or [z]
            scores = -weights[place] * self._between[z, free]
            if temperature:
                balance = self._balance(weights[place], temperature, place != moved)
                scores = scores + temperature * balance[free]
            found[free[drawn(scores, temperature, rng)]] = own[z]
        return found

    def _balance(self, weight: float, temperature: float, stays: bool) -> np.ndarray:
        """(119,) logarithms b with which exp(b_i + b_k - weight d_ik / temperature) is balanced.

        Its sums over k are as the elements' numbers of orbits (Sinkhorn's iteration, symmetric).

        Args:
            weight: of the distance between elements.
            temperature: above 0.
            stays: whether an element may take its own place.
        """
        key = (round(weight * STEPS), temperature, stays)
        if key not in self._balances:
            known = self.known
            kernel = np.exp(-key[0] / STEPS * self._between[np.ix_(known, known)] / temperature)
            kernel[self._kinds[known][:, None] != self._kinds[known]] = 0.0
            if not stays:
                np.fill_diagonal(kernel, TINY)
            wanted = np.exp(self._often[known] - self._often[known].max())
            factors = np.ones(len(known))
            for _ in range(ROUNDS):
                factors = np.sqrt(factors * wanted / (kernel @ factors))
            self._balances[key] = np.full(len(SYMBOLS), -np.inf)
            self._balances[key][known] = np.log(factors)
        return self._balances[key]

    @cached_property
    def _classes(self) -> np.ndarray:
        """(T,) numbers of what the templates are: which kinds of elements, and how many elements.

        Templates of one number have the same.
        """
        of_orbit = np.repeat(np.arange(len(self.table)), self.table.orbits)
        pairs = np.unique(np.stack([of_orbit, self.table.elements]), axis=1)
        kinds = np.zeros(len(self.table), dtype=np.int64)
        np.bitwise_or.at(kinds, pairs[0], 1 << self._kinds[pairs[1]])
        return kinds * len(SYMBOLS) + np.bincount(pairs[0])


def kinds_of_elements() -> np.ndarray:
    """(119,) by atomic number: elements of one number may take each other's places."""
    kinds: np.ndarray = np.zeros(len(SYMBOLS), dtype=np.int64)
    for kind, symbols in enumerate(NON_METALS, start=1):
        kinds[[NUMBER_OF[symbol] for symbol in symbols.split()]] = kind
    return kinds


def drawn(scores: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """A place drawn with probabilities exp(score / temperature); at 0 that of the best score."""
    if not temperature:
        return int(scores.argmax())
    return int((scores / temperature + rng.gumbel(size=len(scores))).argmax())
