"""Write into a system's system.json what its training data have of each condition.

`flowllm combine` does so for every new system; this is for one that was combined before:

    flowllm data mp_20 --out runs/mp20
    python recipes/describe_training.py flowllm/pretrained/mp20-compact runs/mp20
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from flowllm.conditions.ranges import TrainingRanges
from flowllm.data import load_dataset
from flowllm.systems.record import SystemRecord
from flowllm.workflows.train import num_atoms_histogram


def main(folder: Path, data: str) -> None:
    """Fit the ranges and write them; refuse data that the system was not combined with."""
    system, training = SystemRecord.read(folder), load_dataset(data, "train")
    if list(map(float, system.num_atoms_histogram)) != num_atoms_histogram(training):
        raise SystemExit(f"{folder} was not combined with {data}: its sizes of cells are others")
    replace(system, training=TrainingRanges.of(training)).write(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
