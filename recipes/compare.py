"""Evaluations side by side, as Markdown tables.

Usage: python recipes/compare.py runs/a/eval runs/b/eval …

The second table compares crystal by crystal where systems were given the same compositions: of the
crystals that were relaxed in the first evaluation and in another, with the same id and formula, how
much more often, in points, something holds for the other's. Pairs tell apart what rates cannot.
"""

from __future__ import annotations

import argparse

import numpy as np

from flowllm import Report
from flowllm.metrics.statistics import estimate

FLAGS = {
    "relax_match": "matches its relaxed state",
    "metastable": "metastable (< 0.1)",
    "msun": "M.S.U.N. (< 0.1)",
    "stable": "stable (< 0)",
    "sun": "S.U.N. (< 0)",
}


def differences(first: Report, other: Report, flag: str) -> np.ndarray:
    """(n,) of -1, 0 and 1: the flag of the other's crystal less that of the first's."""
    sides = [report.rows.set_index("id")[["formula", flag]].dropna() for report in (first, other)]
    both = sides[0].join(sides[1], rsuffix="_other", how="inner")
    both = both[both["formula"] == both["formula_other"]]
    return both[f"{flag}_other"].to_numpy(float) - both[flag].to_numpy(float)


def main() -> None:
    """One column a report, one row a figure; then the pairs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folders", nargs="+", help="that flowllm evaluate wrote")
    first, *others = (Report.load(folder) for folder in parser.parse_args().folders)
    table = first.comparison(*others)
    print(f"| figure | {' | '.join(table.columns)} |\n|{'---|' * (len(table.columns) + 1)}")
    for name, row in table.iterrows():
        print(f"| {name} | {' | '.join(row)} |")
    if not others or not all(set(FLAGS) <= set(report.rows) for report in (first, *others)):
        return
    names = list(table.columns)
    print(f"\n| in pairs, against {names[0]} | {' | '.join(names[1:])} |\n|{'---|' * len(names)}")
    for flag, name in FLAGS.items():
        found = (estimate(differences(first, other, flag)).as_percent() for other in others)
        print(f"| {name} | {' | '.join(found)} |")


if __name__ == "__main__":
    main()
