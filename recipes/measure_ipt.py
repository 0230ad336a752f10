"""IPT of language models: how far their perplexity depends on how a crystal is written.

Usage: python recipes/measure_ipt.py FOLDER … [--data runs/mp20] [--num 500]

IPT(s) = E_g[PPL(t_g(s)) - PPL(t_g*(s))] (Gruver et al., ICLR 2024, section 4), over the text of a
crystal as it is and under random translations of all atoms, or random orders of the atoms of each
element; composition and space group are given, since no transformation changes them. Perplexities
depend on the tokenizer, so the nats that a crystal loses stand beside them.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from flowllm import load_dataset
from flowllm.data.dataset import CrystalSet
from flowllm.methods.language_model.invariance import TRANSFORMATIONS, invariance
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.metrics.statistics import estimate

HEADINGS = ("model", "perplexity as written", "transformed", "IPT", "nats lost, of a crystal")


def random_rows(data: CrystalSet, num: int, seed: int) -> CrystalSet:
    """So many random crystals, or all."""
    return data[np.random.default_rng(seed).permutation(len(data))[:num]]


def main() -> None:
    """Score, take the means, print a table for each kind of transformation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="+", help="folders of language models")
    parser.add_argument("--data", default="mp_20")
    parser.add_argument("--split", default="test")
    parser.add_argument("--num", type=int, default=500)
    parser.add_argument("--transformations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    data = random_rows(load_dataset(asked.data, asked.split), asked.num, asked.seed)
    print(f"{len(data)} crystals of {asked.split}, {asked.transformations} transformations each")
    for kind in TRANSFORMATIONS:
        print(f"\n{kind}\n\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
        for folder in asked.models:
            prior = LanguageModelPrior.from_pretrained(folder)
            found = invariance(
                prior.model, prior.tokenizer, data, kind, asked.transformations, asked.seed,
                text_format=prior.format,
            )  # fmt: skip
            values = (
                found.perplexity[:, 0],
                found.perplexity[:, 1:].mean(1),
                found.ipt,
                found.nats_lost,
            )
            texts = " | ".join(estimate(value).as_number(3) for value in values)
            print(f"| {folder} | {texts} |", flush=True)


if __name__ == "__main__":
    main()
