"""What the data themselves score: no aim for generated crystals lies below.

Usage: python -m recipes.floor sample OUT [SPLIT] [HOW_MANY] [SEED]
       python -m recipes.floor groups OUT RELAXED [SPLIT]

The first writes random crystals of a split of MP-20 as a file, for `flowllm evaluate OUT`; the
second prints how many have the space group that the data give them, before their relaxation and
after it (RELAXED is `stages/relaxation/relaxed.npz` of the evaluation).
"""

from __future__ import annotations

import sys

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.metrics.group_relations import are_supergroups
from flowllm.metrics.statistics import estimate
from flowllm.metrics.symmetry import FINE_SYMPREC, SYMPREC, space_groups
from flowllm.relax import Relaxation


def sample(out: str, split: str = "test", how_many: str = "200", seed: str = "0") -> None:
    """Write the sample, in the order of the split."""
    crystals = load_dataset("mp_20", split).crystals
    drawn = np.random.default_rng(int(seed)).permutation(len(crystals))[: int(how_many)]
    crystals[np.sort(drawn)].save(out)


def groups(out: str, relaxed: str, split: str = "test") -> None:
    """Print the shares."""
    before, data = CrystalBatch.load(out), load_dataset("mp_20", split)
    row = {str(name): place for place, name in enumerate(data.crystals.ids)}
    given = data.properties["space_group"][[row[str(name)] for name in before.ids]].astype(int)
    stages = {"before": before, "relaxed": Relaxation.load(relaxed).crystals}
    for stage, crystals in stages.items():
        for symprec in (SYMPREC, FINE_SYMPREC):
            found = space_groups(crystals, symprec)
            shares = {
                "as given": found == given,
                "supergroup": are_supergroups(found, given),
                "P1": found == 1,
            }
            shown = (f"{name} {estimate(flags).as_percent()}" for name, flags in shares.items())
            print(f"{stage}, symprec {symprec:g}:", "; ".join(shown))


if __name__ == "__main__":
    {"sample": sample, "groups": groups}[sys.argv[1]](*sys.argv[2:])
