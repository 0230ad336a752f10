"""Fit the volumes of `flowllm/crystals/volumes.py`: Å^3 an atom of each element, from MP-20.

    python recipes/volume_table.py

A cell's volume is taken for the sum of its atoms' volumes; the fit is non-negative least squares of
the relative error, made robust by weights that fall with it. Printed are the table and the
quantiles of volume over sum in training and validation.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.data.load import load_dataset

QUANTILES = (0, 0.0005, 0.001, 0.01, 0.5, 0.99, 0.999, 0.9995, 1)


def counts(crystals: CrystalBatch) -> np.ndarray:
    """(B, 119) atoms of each element."""
    found = np.zeros((len(crystals), len(SYMBOLS)))
    np.add.at(found, (crystals.crystal_of_atom, crystals.atomic_numbers), 1)
    return found


def fitted(crystals: CrystalBatch) -> np.ndarray:
    """(119,) volumes in Å^3 an atom, 0 for elements that do not occur."""
    numbers, volumes = counts(crystals), crystals.volumes
    weights = np.ones(len(crystals))
    for _ in range(20):
        scale = np.sqrt(weights) / volumes
        found, _ = nnls(numbers * scale[:, None], volumes * scale)
        error = np.abs(np.log(volumes / (numbers @ found)))
        weights = 1 / np.maximum(error, 0.02)
    return np.asarray(found)


def main() -> None:
    """Print the table."""
    train = load_dataset("mp_20", "train").crystals
    found = fitted(train).round(1)
    print(" ".join(f"{s}:{v}" for s, v in zip(SYMBOLS, found.tolist(), strict=True) if v))
    for name, crystals in (("train", train), ("val", load_dataset("mp_20", "val").crystals)):
        ratio = crystals.volumes / (counts(crystals) @ found)
        print(name, dict(zip(QUANTILES, np.quantile(ratio, QUANTILES).round(3), strict=True)))


if __name__ == "__main__":
    main()
