"""How often the language model names the masked element of crystals that it has not seen.

Usage: python recipes/measure_infilling.py --data runs/mp20 [--split test] [--num 500]

One element of each crystal, chosen at random, is masked on all its sites. It is a hit if that
element is the first, or among the first five, of a ranking of all elements but those that are still
there. Rankings:

- language model: by likelihood (`flowllm.methods.language_model.infill.propose_elements`);
- nearest radius: by how near the covalent radius is to the hole's, the median over masked sites of
  the nearest neighbour's distance less the neighbour's radius; it has to do without the masked
  element's own radius, which the substitution of Gruver et al. starts from, and which therefore
  never names that element;
- frequency: by how many training crystals hold the element.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.data import covalent_radii

from flowllm import FlowLLM, load_dataset
from flowllm.crystals.elements import NUMBER_OF
from flowllm.methods.language_model.infill import TRAINED_ON, masked_sites, propose_elements
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.metrics.statistics import estimate

if TYPE_CHECKING:
    from pymatgen.core import Structure

REACH = 6.0  # Å, how far neighbours are looked for
PLACES = (1, 5)


def by_radius(structure: Structure, masked: list[int], candidates: list[str]) -> list[str]:
    """Candidates by how well they fit the hole that the mask leaves."""
    hidden = set(masked)
    room = []
    for place in masked:
        gaps = [
            neighbour.nn_distance - covalent_radii[NUMBER_OF[neighbour.specie.symbol]]
            for neighbour in structure.get_neighbors(structure[place], REACH)
            if neighbour.index not in hidden
        ]
        if gaps:
            room.append(min(gaps))
    hole = float(np.median(room)) if room else float(np.median(covalent_radii[1:95]))
    return sorted(candidates, key=lambda symbol: abs(covalent_radii[NUMBER_OF[symbol]] - hole))


def main() -> None:
    """Rank, count, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="mp_20")
    parser.add_argument("--split", default="test")
    parser.add_argument("--num", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="mp20-compact")
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    model = FlowLLM.from_pretrained(asked.model)
    assert isinstance(model.prior, LanguageModelPrior)
    train, held_out = (load_dataset(asked.data, split) for split in ("train", asked.split))
    seen = Counter(symbol for counts in train.crystals.compositions for symbol in counts)
    generator = np.random.default_rng(asked.seed)
    several = np.array([len(counts) > 1 for counts in held_out.crystals.compositions])
    chosen = generator.permutation(np.flatnonzero(several))[: asked.num]
    names = ("language model", "nearest radius", "frequency")
    ranks: dict[str, list[int]] = {name: [] for name in names}
    for done, row in enumerate(chosen, start=1):
        crystal = held_out.crystals[int(row)]
        counts = crystal.compositions[0]
        element = str(generator.choice(sorted(counts)))
        structure = crystal.to_pymatgen()[0]
        masked = masked_sites(structure, element=element)
        candidates = [symbol for symbol in TRAINED_ON if symbol == element or symbol not in counts]
        rankings = (
            propose_elements(model.prior, structure, masked, candidates).elements,
            by_radius(structure, masked, candidates),
            sorted(candidates, key=lambda symbol: -seen[symbol]),
        )
        for name, ranking in zip(names, rankings, strict=True):
            ranks[name].append(list(ranking).index(element) + 1)
        if done % 50 == 0 or done == len(chosen):
            print(f"{done} crystals", flush=True)
    print(f"\n{len(chosen)} crystals of {Path(str(asked.data)).name}, {asked.split}\n")
    print("| ranking | first | among the first five | median rank |\n|---|---|---|---|")
    for name, found in ranks.items():
        places = np.array(found)
        shares = " | ".join(estimate(places <= limit).as_percent() for limit in PLACES)
        print(f"| {name} | {shares} | {np.median(places):.0f} |")


if __name__ == "__main__":
    main()
