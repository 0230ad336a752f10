"""New compositions: that of a template, each element exchanged for one that is like it."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.methods.templates.similarity import Similarity
from flowllm.methods.templates.table import TemplateTable

TINY = 1e-9


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

    def composition(self, row: int, temperature: float, rng: np.random.Generator) -> dict[int, int]:
        """{atomic number: atoms} of a template with at least one other element.

        Args:
            row: of the template.
            temperature: of the draw by the number of orbits of an element in the templates, times
                exp(-distance / temperature); 0 takes the most alike.
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
            scores = temperature * self._often[free] - weights[place] * self._between[z, free]
            found[free[drawn(scores, temperature, rng)]] = atoms
        return found


def drawn(scores: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """A place drawn with probabilities exp(score / temperature); at 0 that of the best score."""
    if not temperature:
        return int(scores.argmax())
    return int((scores / temperature + rng.gumbel(size=len(scores))).argmax())
