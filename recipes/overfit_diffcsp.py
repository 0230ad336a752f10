"""DiffCSP learns a few crystals by heart: what its network and its sampling can do at all.

Usage: python -m recipes.overfit_diffcsp OUT [NUM] [EPOCHS] [STEPS ...]

Trains the network for structure prediction on NUM training crystals of MP-20 (500 by default) for
EPOCHS passes (800 by default), in OUT, where an interrupted training goes on. Then predicts the
structures of the same crystals from noise, with each number of steps (1000, 200 and 50 by default)
and by untrained weights, and prints how many match. Each system of the workbench must reach 90 %.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.methods.base.geometry import NormalLattice
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.diffcsp.settings import DiffCSPSettings, DiffCSPTrainSettings
from flowllm.methods.diffcsp.train import train_task
from flowllm.metrics.matching import match
from flowllm.networks.diffcsp import DiffCSPNet

SETTINGS = DiffCSPTrainSettings(batch_size=32, eval_steps=500, save_steps=500, threads=1)


def chosen(num: int) -> CrystalBatch:
    """Training crystals of MP-20, spread evenly over the split."""
    every = load_dataset("mp_20", "train").crystals
    return every[np.linspace(0, len(every) - 1, num).round().astype(int)]


def predictions(network: DiffCSPNet, crystals: CrystalBatch, steps: int) -> CrystalBatch:
    """What the network makes of the compositions of crystals."""
    geometry = NormalLattice()
    drawn = [geometry.put(one.atomic_numbers, seed) for seed, one in enumerate(crystals)]
    start = CrystalBatch.concatenate(drawn).replace(ids=crystals.ids)
    settings = DiffCSPSettings(steps=steps)
    return DiffCSPRefiner({"csp": network}).refine(start, settings, range(len(crystals))).last


def main(out: Path, num: int = 500, epochs: int = 800, steps: tuple[int, ...] = ()) -> None:
    """Train, sample, print."""
    torch.set_num_threads(1)
    crystals = chosen(num)
    settings = replace(SETTINGS, epochs=epochs)
    network = train_task("csp", crystals, crystals, settings, out, "cpu")
    untrained = DiffCSPNet(network.config)
    for name, used, count in (
        *(("trained", network, s) for s in steps or (1000, 200, 50)),
        ("untrained", untrained, 50),
    ):
        began = time.process_time()
        found = match(predictions(used, crystals, count), crystals)
        took = time.process_time() - began
        rate, rmse = found.match_rate, found.rmse
        print(
            f"{name}, {count} steps: match {rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f}), "
            f"RMSE {rmse.value:.4f}, {took:.0f} processor seconds",
            flush=True,
        )


if __name__ == "__main__":
    folder, *numbers = sys.argv[1:]
    main(Path(folder), *map(int, numbers[:2]), steps=tuple(map(int, numbers[2:])))
