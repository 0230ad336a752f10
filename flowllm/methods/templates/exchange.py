"""New compositions: that of a template, each element exchanged for one that is like it.

How often one element takes the place of another is symmetric, and such that elements come as often
as in the templates. Drawn by likeness alone, the elements that have many others like them would
take over: the crystals would hold more rare earths than the data, less oxygen, and be too dense.
"""

from __future__ import annotations

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.methods.templates.similarity import Similarity
from flowllm.methods.templates.table import TemplateTable

TINY = 1e-9
ROUNDS = 300  # of balancing
STEPS = 50  # in 1 of a weight: as fine as balances are kept


class Exchange:
    """Draws elements in the place of others.

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
        self._balances: dict[tuple[int, float, bool], np.ndarray] = {}

    def composition(self, row: int, temperature: float, rng: np.random.Generator) -> dict[int, int]:
        """{atomic number: atoms} of a template with at least one other element.

        Args:
            row: of the template.
            temperature: of the draw by how often elements take each other's places, which falls
                with exp(-distance / temperature); 0 takes the most alike.
            rng: where the numbers come from.
        """
        own = self.table.counts(row)
        counts = np.array(list(own.values()))
        weights = self.similarity.weights(counts)
        order = rng.permutation(len(own)).tolist()
        moved = int(rng.integers(len(own)))  # by an element that the template does not have
        found: dict[int, int] = {}
        for place in order:
            z, atoms = list(own.items())[place]
            barred = {*found, *own} if place == moved else {*found}
            free = [k for k in self.known.tolist() if k not in barred] or [z]
            scores = -weights[place] * self._between[z, free]
            if temperature:
                balance = self._balance(weights[place], temperature, place != moved)
                scores = scores + temperature * balance[free]
            found[free[drawn(scores, temperature, rng)]] = atoms
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
            if not stays:
                np.fill_diagonal(kernel, TINY)
            wanted = np.exp(self._often[known] - self._often[known].max())
            factors = np.ones(len(known))
            for _ in range(ROUNDS):
                factors = np.sqrt(factors * wanted / (kernel @ factors))
            self._balances[key] = np.full(len(SYMBOLS), -np.inf)
            self._balances[key][known] = np.log(factors)
        return self._balances[key]


def drawn(scores: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """A place drawn with probabilities exp(score / temperature); at 0 that of the best score."""
    if not temperature:
        return int(scores.argmax())
    return int((scores / temperature + rng.gumbel(size=len(scores))).argmax())
