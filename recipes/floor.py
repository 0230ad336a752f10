"""Random crystals of a split as a file, so that `flowllm evaluate` gives the floor of every figure.

Usage: python -m recipes.floor OUT [SPLIT] [HOW_MANY] [SEED]

No figure of generated crystals can be expected to lie below what the data themselves score:
`flowllm evaluate OUT --only relaxation,stability,diversity` prints it.
"""

from __future__ import annotations

import sys

import numpy as np

from flowllm.data import load_dataset


def main(out: str, split: str = "test", how_many: str = "200", seed: str = "0") -> None:
    """Write the sample, in the order of the split."""
    crystals = load_dataset("mp_20", split).crystals
    drawn = np.random.default_rng(int(seed)).permutation(len(crystals))[: int(how_many)]
    crystals[np.sort(drawn)].save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
