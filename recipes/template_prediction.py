"""Structure prediction without a network: the nearest training crystal, its elements exchanged.

Usage: python -m recipes.template_prediction [DATA] [HOW_MANY]

Of a random HOW_MANY test crystals of DATA ("mp_20", or a prepared folder): match rate, METRe and
cRMSE of one template each. Templates have another formula than the crystal asked for.
"""

from __future__ import annotations

import sys

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.methods.base.geometry import SimpleBase, Substitution
from flowllm.metrics.prediction import score_predictions


def main(data: str = "mp_20", how_many: str = "1000") -> None:
    """Print the figures."""
    train, test = (load_dataset(data, split).crystals for split in ("train", "test"))
    drawn = np.random.default_rng(0).permutation(len(test))[: int(how_many)]
    truth = test[np.sort(drawn)]
    prior = Substitution(train, SimpleBase.fit(train))
    predictions = CrystalBatch.concatenate(
        prior.place(composition, seed) for seed, composition in enumerate(truth.compositions)
    ).replace(ids=truth.ids)
    for name, value in score_predictions(predictions, truth).table():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main(*sys.argv[1:])
