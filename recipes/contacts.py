"""The table of the shortest contacts of MP-20's training split, and what other splits score by it.

Usage: python -m recipes.contacts [--write]

Prints the shares of crystals with a contact below 0.7 of the covalent radii, and below what
`flowllm.crystals.contacts.shortest_allowed` gives; with --write the table is made anew first.
"""

from __future__ import annotations

import sys

import numpy as np

from flowllm.crystals.contacts import SHORT, TABLE, shortest_contacts, write_table
from flowllm.data import load_dataset
from flowllm.metrics.statistics import estimate


def main(*options: str) -> None:
    """Make the table if asked to, and print the shares."""
    splits = {name: load_dataset("mp_20", name).crystals for name in ("train", "val", "test")}
    if "--write" in options:
        write_table(splits["train"])
    with np.load(TABLE) as table:
        pairs = int((np.triu(table["quantiles"]) > 0).sum())
        print(
            f"{pairs} pairs by their own quantile, others below {table['ratio']:.3f} of the radii"
        )
    for name, crystals in splits.items():
        found = shortest_contacts(crystals)
        print(
            f"{name}: below {SHORT:g} of the radii",
            estimate(found.shortest_ratio < SHORT).as_percent(),
            "; shorter than allowed",
            estimate(found.margin < 0).as_percent(),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
