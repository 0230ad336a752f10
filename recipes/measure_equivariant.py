"""What the equivariant flow does to validation crystals, right ones and noisy ones.

Usage: python -m recipes.measure_equivariant MODEL [HOW_MANY] [STEPS ...]

Crystals are idealised to their space group; noise stays inside it. Printed for each kind of noise
and number of steps: what is left of the errors of coordinates (Å, root mean square; median), volume
(logarithm) and shape of the cell, the mean and median energy above the right crystal by CHGNet
(eV/atom, single points), and how many keep their space group at symprec 1e-3 Å.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.data import load_dataset
from flowllm.methods.equivariant.noise import noisy_batch
from flowllm.methods.equivariant.noise_settings import NoiseSettings
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantSettings
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.metrics.symmetry import space_groups
from flowllm.relax.potential import evaluate

NOISE = {
    "right": {},
    "volume 0.1": {"volume": 0.1},
    "coordinates 0.2 Å": {"displacement": 0.2},
    "strain 0.05": {"strain": 0.05},
    "volume 0.1, coordinates 0.2 Å": {"volume": 0.1, "displacement": 0.2},
    "in P1: coordinates 0.1 Å, strain 0.03": {"displacement": 0.1, "strain": 0.03, "broken": 1.0},
}
"""By name: what is not 0 of the noise, all of it at its full scale."""


def batch_of(targets: SymmetricTargets, coords: np.ndarray, lattices: np.ndarray) -> CrystalBatch:
    """Crystals in these places and cells."""
    cells = [cell_parameters(lattice) for lattice in lattices]
    lengths, angles = (np.array([cell[k] for cell in cells]) for k in (0, 1))
    names = np.arange(len(targets)).astype(str)
    return CrystalBatch(targets.atomic_numbers, coords, lengths, angles, targets.num_atoms, names)


def errors(found: CrystalBatch, right: CrystalBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B,) of coordinates in Å, logarithm of the volume, and strain at constant volume."""
    own, starts = right.crystal_of_atom, right.offsets
    gaps = found.frac_coords - right.frac_coords
    gaps -= np.round(gaps)
    gaps -= (np.add.reduceat(gaps, starts) / right.num_atoms[:, None])[own]
    far = np.einsum("ni,nij->nj", gaps, right.lattices[own])
    squares = np.add.reduceat((far**2).sum(-1), starts) / right.num_atoms
    back = np.linalg.inv(found.lattices)
    metric = back @ right.lattices @ right.lattices.transpose(0, 2, 1) @ back.transpose(0, 2, 1)
    logs = 0.5 * np.log(np.linalg.eigvalsh(metric))
    volume = logs.sum(1)
    return np.sqrt(squares), volume, np.linalg.norm(logs - volume[:, None] / 3, axis=1)


def energies(crystals: CrystalBatch) -> np.ndarray:
    """(B,) eV/atom by CHGNet; NaN where it cannot."""
    parts = [evaluate(crystals[k : k + 16]).energies for k in range(0, len(crystals), 16)]
    return np.concatenate(parts) / crystals.num_atoms


def main(model: str, how_many: str = "100", *steps: str) -> None:
    """Print the figures."""
    refiner = EquivariantRefiner.load(Path(model))
    crystals = load_dataset("mp_20", "val").crystals
    drawn = np.sort(np.random.default_rng(0).permutation(len(crystals))[: int(how_many)])
    targets = SymmetricTargets.of(crystals[drawn])
    right = batch_of(targets, targets.frac_coords, targets.lattices)
    lowest, groups = energies(right), space_groups(right, 1e-3)

    def line(name: str, crystals: CrystalBatch, n: str) -> None:
        far, volume, shape = errors(crystals, right)
        above = energies(crystals) - lowest
        kept = np.mean(np.array(space_groups(crystals, 1e-3)) == np.array(groups))
        print(
            f"{name} | {n} | {np.sqrt((far**2).mean()):.4f} ({np.median(far):.4f}) | "
            f"{np.sqrt((volume**2).mean()):.4f} ({np.median(np.abs(volume)):.4f}) | "
            f"{np.sqrt((shape**2).mean()):.4f} ({np.median(shape):.4f}) | "
            f"{np.nanmean(above):.4f} ({np.nanmedian(above):.4f}) | {100 * kept:.1f}",
            flush=True,
        )

    print("noise | steps | coordinates | volume | shape | energy | space group kept, %")
    for name, kind in NOISE.items():
        none = {"displacement": 0.0, "volume": 0.0, "strain": 0.0, "broken": 0.0}
        noise = NoiseSettings(**(none | kind), smallest=1.0, untouched=0.0)
        made = noisy_batch(targets, noise, np.random.default_rng(1), at=0.0)
        coords, cells = made["frac_coords"].double().numpy(), made["lattices"].double().numpy()
        noisy = batch_of(targets, coords, cells)
        if not kind:
            noisy = right
        line(name, noisy, "0")
        for count in steps or ("1", "5", "10", "25", "50"):
            begun = time.process_time()
            refined = refiner.refine(noisy, EquivariantSettings(steps=int(count))).last
            total = time.process_time() - begun
            line(name, refined, f"{count} ({total:.1f} s)")


if __name__ == "__main__":
    main(*sys.argv[1:])
