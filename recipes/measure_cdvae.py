"""What latent vectors of CDVAE are worth: reconstructions, numbers of atoms, decodings of one.

Usage: python -m recipes.measure_cdvae MODEL [HOW_MANY] [STEPS ...]

On the first HOW_MANY validation crystals (200 by default), with each number of Langevin steps a
level (5 by default): how many reconstructions match, and how many of their numbers of atoms and
formulas are right; the error of the predicted formation energy; how the compositions of 50
decodings of one latent vector differ, and those of 50 vectors (mean over pairs of the distance of
their shares of elements, 0 for equal and 2 for foreign ones). Then, without any steps, how often
the first latent vector, and one of all that are tried, decodes to the number of atoms asked for.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.methods.cdvae.latents import latent, likeliest_number
from flowllm.methods.cdvae.reconstruct import decoded, reconstruct
from flowllm.methods.cdvae.refiner import CDVAERefiner
from flowllm.methods.cdvae.settings import CDVAESettings
from flowllm.metrics.matching import match
from flowllm.systems.system import FlowLLM

DECODINGS = 50
VECTORS = 4
ASKED = 400


def spread(crystals: CrystalBatch) -> float:
    """Mean distance of two crystals' shares of elements."""
    shares = np.zeros((len(crystals), 120))
    np.add.at(shares, (crystals.crystal_of_atom, crystals.atomic_numbers), 1.0)
    shares /= crystals.num_atoms[:, None]
    pairs = np.triu_indices(len(shares), 1)
    return float(np.abs(shares[pairs[0]] - shares[pairs[1]]).sum(-1).mean())


def measure_latents(refiner: CDVAERefiner, crystals: CrystalBatch, steps: int) -> None:
    """Reconstructions, and decodings of one vector and of many."""
    settings, began = CDVAESettings(steps_per_level=steps), time.process_time()
    made = reconstruct(refiner, crystals, settings)
    took = time.process_time() - began
    found = match(made, crystals)
    formulas = np.mean([a == b for a, b in zip(made.formulas, crystals.formulas, strict=True)])
    print(f"{steps} steps a level: {took / len(crystals):.2f} processor seconds a crystal")
    rate, rmse = found.match_rate, found.rmse
    print(f"  reconstructed {rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f}), RMSE", end=" ")
    print(f"{rmse.value:.4f}; number of atoms right", end=" ")
    print(f"{np.mean(made.num_atoms == crystals.num_atoms):.3f}, formula right {formulas:.3f}")
    generator = torch.Generator().manual_seed(0)
    size = refiner.model.network.config.latent
    many = torch.randn(DECODINGS, size, generator=generator, dtype=torch.float64)
    many = many.to(refiner.model.encoded(crystals[:1]))
    seeds = list(range(DECODINGS))
    of_one = [
        spread(decoded(refiner, many[k : k + 1].expand(DECODINGS, -1), settings, seeds))
        for k in range(VECTORS)
    ]
    of_many = spread(decoded(refiner, many, settings, seeds))
    print(f"  {DECODINGS} decodings of one vector {np.mean(of_one):.3f}, of as many {of_many:.3f}")


def measure_numbers(system: FlowLLM, refiner: CDVAERefiner) -> None:
    """How often numbers of atoms, drawn as for generation, are met."""
    heads = refiner.model.network.heads
    rng, shares = np.random.default_rng(0), np.array(system.num_atoms_histogram)
    asked = rng.choice(len(shares), ASKED, p=shares / shares.sum()) + 1
    found = {
        "the first vector": [latent(heads, seed) for seed in range(ASKED)],
        "one of those tried": [latent(heads, seed, int(n)) for seed, n in enumerate(asked)],
    }
    for name, vectors in found.items():
        with torch.inference_mode():
            numbers = likeliest_number(heads.number(torch.cat(vectors))).cpu().numpy()
        print(f"{name} decodes to the number asked for in {np.mean(numbers == asked):.3f}")
        print("  numbers 1 to 20:", np.bincount(numbers, minlength=21)[1:].tolist())


def main() -> None:
    """Measure a model in a folder."""
    model, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    steps = [int(word) for word in sys.argv[3:]] or [5]
    system = FlowLLM.from_pretrained(Path(model), "cpu")
    refiner = system.refiner
    if not isinstance(refiner, CDVAERefiner):
        raise SystemExit(f"{model} is not a CDVAE model")
    torch.set_num_threads(1)
    held_out = load_dataset("mp_20", "val")[:count]
    predicted = refiner.model.formation_energies(refiner.model.encoded(held_out.crystals))
    off = np.abs(predicted - held_out.properties["formation_energy"])
    print(f"formation energy: mean absolute error {np.nanmean(off):.3f} eV/atom")
    measure_numbers(system, refiner)
    for number in steps:
        measure_latents(refiner, held_out.crystals, number)


if __name__ == "__main__":
    main()
