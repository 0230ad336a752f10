"""What refinement changes in crystal structure prediction: matches before and after it.

Usage: python -m recipes.before_and_after RUN DATA [SPLIT]

RUN is the folder of `flowllm generate --targets DATA --split SPLIT`. Rates, RMSE, and what matches
are lost and gained; `flowllm evaluate RUN` and `flowllm evaluate RUN/prior` give each state's own
figures with METRe beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from flowllm.crystals.trajectory import Trajectory
from flowllm.data import load_dataset
from flowllm.metrics.matching import before_and_after, match


def main(run: str, data: str, split: str = "test") -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    path = Trajectory.load(Path(run) / "trajectories.npz")
    truth = load_dataset(data, split).crystals
    place = {str(name): row for row, name in enumerate(truth.ids)}
    targets = truth[np.array([place[str(name)] for name in path.ids])]
    before, after = match(path.first, targets), match(path.last, targets)
    shown = Table("figure", "prior", "refined", title=f"{len(targets)} crystals of {split}")
    for (name, value), (_, refined) in zip(before.table(), after.table(), strict=True):
        shown.add_row(name, value, refined)
    for row in before_and_after(before, after):
        shown.add_row(*row)
    Console().print(shown)


if __name__ == "__main__":
    main(*sys.argv[1:])
