"""All templates with the same numbers of atoms, by the roles of their elements."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from flowllm.methods.templates.prototype import Order, Prototype, assignments, prototype_of
from flowllm.methods.templates.table import TemplateTable

Counts = tuple[int, ...]
Formula = frozenset[tuple[int, int]]


def counts_of(composition: dict[int, int]) -> Counts:
    """The numbers of atoms of the elements, ascending."""
    return tuple(sorted(composition.values()))


def reduced(composition: dict[int, int]) -> Formula:
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
        formulas: (N,) number of the reduced formula of each, as in `known_formulas`.
        known_formulas: reduced formula -> its number.
        log_volumes: (N,) logarithms of the volume an atom, in Å^3.
    """

    counts: Counts
    rows: np.ndarray
    elements: np.ndarray
    prototypes: tuple[Prototype, ...]
    prototype: np.ndarray
    orders: tuple[Order, ...]
    arrangement: np.ndarray
    formulas: np.ndarray
    known_formulas: dict[Formula, int]
    log_volumes: np.ndarray

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
        known: dict[Formula, int] = {}
        formulas = [known.setdefault(reduced(table.counts(row)), len(known)) for row in rows]
        return cls(
            counts,
            np.array(rows),
            np.array([elements for _, elements, _ in found]),
            tuple(place),
            np.array([place[prototype] for prototype, _, _ in found]),
            orders,
            arrangement,
            np.array(formulas),
            known,
            np.log([table.volume(row) / sum(counts) for row in rows]),
        )


def rows_by_counts(table: TemplateTable) -> dict[Counts, list[int]]:
    """The templates of each stoichiometry."""
    rows: dict[Counts, list[int]] = {}
    for row in range(len(table)):
        rows.setdefault(counts_of(table.counts(row)), []).append(row)
    return rows


def all_stoichiometries(table: TemplateTable) -> list[Stoichiometry]:
    """All templates of a table, gathered."""
    rows = rows_by_counts(table)
    return [Stoichiometry.gather(counts, rows[counts], table) for counts in rows]
