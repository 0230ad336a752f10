"""Evaluations side by side, as a Markdown table.

Usage: python recipes/compare.py runs/a/eval runs/b/eval …
"""

from __future__ import annotations

import sys

from flowllm import Report


def main() -> None:
    """One column a report, one row a figure."""
    first, *others = (Report.load(folder) for folder in sys.argv[1:])
    table = first.comparison(*others)
    print(f"| figure | {' | '.join(table.columns)} |\n|{'---|' * (len(table.columns) + 1)}")
    for name, row in table.iterrows():
        print(f"| {name} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
