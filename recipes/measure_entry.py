"""Where and how crystals of a language model should enter the diffusion of DiffCSP (CrysLLMGen).

    python -m recipes.measure_entry [--rows 150] [--language-model mp20-compact]

The language model draws structures for the compositions of validation rows, likeliest first; they
enter at step τ in three ways (`DiffCSPSettings.entry`). Printed for each: match rate and RMSE
against the true crystal, and the median error of the volume after the first steps and at the end.
CrysLLMGen (Khastagir et al. 2025) speaks of τ = 900; its public script takes 500.
"""

from __future__ import annotations

import argparse
from typing import get_args

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.data.load import load_dataset
from flowllm.methods.diffcsp.settings import MOST_STEPS, DiffCSPSettings, Entry
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.systems.system import FlowLLM
from recipes.compare_parts import rms_of

TAUS = (50, 100, 200, 300, 500, 900)
FIRST = 5  # steps


def main() -> None:
    """Draw once, enter everywhere, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="val")
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--steps", type=int, default=200, help="visited of 1,000 from the start")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--language-model", default="mp20-compact", help="a system that has it")
    parser.add_argument("--diffusion", default="mp20-diffcsp", help="a system that has it")
    chosen = parser.parse_args()
    prior = FlowLLM.from_pretrained(chosen.language_model, "cpu").prior
    if isinstance(prior, RankedPrior):
        prior = prior.language_model
    refiner = FlowLLM.from_pretrained(chosen.diffusion, "cpu").refiner
    assert refiner is not None
    whole = load_dataset("mp_20", chosen.split)
    rows = np.sort(np.random.default_rng(chosen.seed).permutation(len(whole))[: chosen.rows])
    truth = whole.crystals[rows]
    asked = [Conditions(composition=composition) for composition in truth.compositions]
    seeds = [chosen.seed * len(asked) + k for k in range(len(asked))]
    drawn = prior.sample(asked, SamplingSettings.predict(), seeds)
    print("τ, entry: match, RMSE; volume error after 5 steps, at the end")
    print(f"as drawn: {_matched(drawn, truth)}; {_volume(drawn, truth):.1%}")
    for tau in TAUS:
        for entry in get_args(Entry):
            settings = DiffCSPSettings(
                steps=chosen.steps, entry=entry, record=100, single_precision=True
            )
            path = refiner.refine(drawn, settings, seeds=seeds, start=1 - tau / MOST_STEPS)
            visited = max(1, round(chosen.steps * tau / MOST_STEPS))
            early = path.frame(min(len(path) - 1, round(FIRST / visited * (len(path) - 1))))
            print(
                f"{tau}, {entry}: {_matched(path.last, truth)}; "
                f"{_volume(early, truth):.1%}, {_volume(path.last, truth):.1%}",
                flush=True,
            )


def _matched(made: CrystalBatch, truth: CrystalBatch) -> str:
    """Match rate and RMSE, as text."""
    rms = rms_of(made, truth)
    found = rms[np.isfinite(rms)]
    return f"{len(found) / len(rms):.1%}, " + (f"{found.mean():.4f}" if len(found) else "none")


def _volume(made: CrystalBatch, truth: CrystalBatch) -> float:
    """The median relative error of the volume."""
    known = truth.volumes[made.ids.astype(int)]
    return float(np.median(np.abs(made.volumes / known - 1)))


if __name__ == "__main__":
    main()
