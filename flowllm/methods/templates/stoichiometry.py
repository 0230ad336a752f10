"""All templates with the same numbers of atoms, by the roles that their elements play."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from flowllm.methods.templates.prototype import Order, Prototype, assignments, prototype_of
from flowllm.methods.templates.table import TemplateTable

Counts = tuple[int, ...]


def counts_of(composition: dict[int, int]) -> Counts:
    """The numbers of atoms of the elements, ascending."""
    return tuple(sorted(composition.values()))


def reduced(composition: dict[int, int]) -> frozenset[tuple[int, int]]:
    """The reduced formula as (atomic number, atoms)."""
    units = gcd(*composition.values())
    return frozenset((z, n // units) for z, n in composition.items())


@dataclass(frozen=True)
class Stoichiometry:
    """N templates of one stoichiometry.

    Attributes:
        counts: (e,) atoms of each role, ascending.
        rows: (N,) their places in the table.
        elements: (N, e) atomic numbers by role.
        prototypes: K prototypes.
        prototype: (N,) place of the prototype of each.
        orders: P ways to give the roles to e elements, as places.
        arrangement: (K, P) numbers of what is told apart: the prototype with its elements, where
            ways that differ by an exchange that the letters do not show have the same.
        formulas: the reduced formula of each.
    """

    counts: Counts
    rows: np.ndarray
    elements: np.ndarray
    prototypes: tuple[Prototype, ...]
    prototype: np.ndarray
    orders: tuple[Order, ...]
    arrangement: np.ndarray
    formulas: tuple[frozenset[tuple[int, int]], ...]

    @classmethod
    def gather(cls, counts: Counts, rows: list[int], table: TemplateTable) -> Stoichiometry:
        """The templates in these rows of a table, which all have these counts."""
        found = [prototype_of(*table.orbits_of(row)) for row in rows]
        place = {p: k for k, p in enumerate(dict.fromkeys(prototype for prototype, _, _ in found))}
        orders = tuple(assignments(counts, dict(enumerate(counts))))
        number = {order: p for p, order in enumerate(orders)}
        exchanges = {prototype: same for prototype, _, same in found}
        arrangement = np.full((len(place), len(orders)), -1)
        next_one = 0
        for prototype, k in place.items():
            for p, order in enumerate(orders):
                if arrangement[k, p] < 0:
                    for exchange in exchanges[prototype]:
                        arrangement[k, number[tuple(order[r] for r in exchange)]] = next_one
                    next_one += 1
        return cls(
            counts,
            np.array(rows),
            np.array([elements for _, elements, _ in found]),
            tuple(place),
            np.array([place[prototype] for prototype, _, _ in found]),
            orders,
            arrangement,
            tuple(reduced(table.counts(row)) for row in rows),
        )
