"""Which composition templates give for elements and a space group: how often it is the true one.

    python -m recipes.choose_composition [--rows 300]

Elements and space groups are those of random crystals of MP-20's validation split, structures those
of the templates of mp20-symmetric. Printed for each score by which the first is chosen: how often
it has the true crystal's formula, the same of crystals whose formula no template has, and how often
its composition passes SMACT's test; and the same with those that pass it before all others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from math import gcd

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.data.load import load_dataset
from flowllm.evaluation.adherence.kinds import asked_of
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.methods.templates.ranking import Candidate
from flowllm.metrics.composition import is_valid_composition
from flowllm.systems.system import FlowLLM

SCORES: dict[str, Callable[[Candidate], float]] = {
    "votes": lambda found: found.log_votes,
    "nearest template": lambda found: -found.distance,
    "votes and nearest": lambda found: found.log_votes - found.distance,
    "votes and share of the composition's": lambda found: found.log_votes + found.log_share,
}
ALL = 10**6


def main() -> None:
    """Rank, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300)
    rows = parser.parse_args().rows
    prior = FlowLLM.from_pretrained("mp20-symmetric", "cpu").prior
    assert isinstance(prior, RankedPrior)
    table, data = prior.templates.table, load_dataset("mp_20", "val")
    true = dict(zip(data.crystals.ids.tolist(), data.crystals.compositions, strict=True))
    known = {
        reduced({SYMBOLS[z]: n for z, n in table.counts(k).items()}) for k in range(len(table))
    }
    hits: dict[str, list[tuple[bool, bool, bool]]] = {}
    for target in asked_of(data, "elements+space-group", rows):
        found = prior.templates.open.structures(target.conditions, ALL)
        if not found:
            continue
        cells = [
            {SYMBOLS[one.exchange[z]]: n for z, n in table.counts(one.row).items()} for one in found
        ]
        sound = np.array([is_valid_composition(cell) for cell in cells])
        wanted = reduced(true[target.source])
        for name, score in SCORES.items():
            values = np.array([score(one) for one in found])
            for label, offset in ((name, 0), (f"{name}, SMACT first", 1000)):
                best = int((values + offset * sound).argmax())
                hit = reduced(cells[best]) == wanted
                hits.setdefault(label, []).append((hit, wanted not in known, bool(sound[best])))
    for label, rows_found in hits.items():
        hit, new, valid = np.array(rows_found).T
        print(f"{label}: {hit.mean():.1%}; new {hit[new].mean():.1%} of {new.sum()}; "
              f"SMACT {valid.mean():.1%} of {len(hit)}")  # fmt: skip


def reduced(cell: Mapping[str, int]) -> frozenset[tuple[str, int]]:
    """The reduced formula of a cell {element: atoms}."""
    units = gcd(*cell.values())
    return frozenset((symbol, n // units) for symbol, n in cell.items())


if __name__ == "__main__":
    main()
