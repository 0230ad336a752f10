"""Potentials whose minimum is known, and some that misbehave; processes can be sent them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.relax.potential import PotentialResult

EDGE = 4.0
STIFFNESS, BULK = 3.0, 0.6  # eV/Å^2, eV/Å^3


def target_coords(count: int) -> np.ndarray:
    """Where the springs pull n atoms to."""
    return np.outer((np.arange(count) + 0.5) / count, [1.0, 1.0, 1.0])


def target(count: int, name: str = "target") -> CrystalBatch:
    """The one minimum: a cube with its atoms along the diagonal."""
    return CrystalBatch(
        np.full(count, 6), target_coords(count), [[EDGE] * 3], [[90] * 3], [count], [name]
    )


def shaken(count: int, seed: int, name: str) -> CrystalBatch:
    """That crystal, displaced and strained."""
    rng = np.random.default_rng(seed)
    goal = target(count, name)
    return goal.replace(
        frac_coords=goal.frac_coords + rng.normal(0, 0.03, (count, 3)),
        lengths=goal.lengths + rng.normal(0, 0.2, (1, 3)),
        angles=goal.angles + rng.normal(0, 3, (1, 3)),
    )


@dataclass(frozen=True)
class Springs:
    """Atoms tied to places in the cell, the cell by Green's strain to a cube; the minimum is 0.

    Attributes:
        delay: seconds that each atom takes.
        escape: crystals of this many atoms feel a constant pull outwards instead.
        refuse: an evaluation that holds a crystal of this many atoms raises.
        nan: crystals of this many atoms have no energy.
        kill: a crystal of this many atoms ends the process.
    """

    delay: float = 0.0
    escape: int = 0
    refuse: int = 0
    nan: int = 0
    kill: int = 0

    def __call__(self, atomic_numbers, frac_coords, lattices, num_atoms) -> PotentialResult:
        time.sleep(self.delay * len(atomic_numbers))
        if self.kill in num_atoms:
            os._exit(1)
        if self.refuse in num_atoms:
            raise RuntimeError(f"no crystals of {self.refuse} atoms here")
        cube = EDGE * np.eye(3)
        energies, forces, stresses, end = [], [], [], 0
        for count, lattice in zip(num_atoms, lattices, strict=True):
            away = (frac_coords[end : end + count] - target_coords(count)) @ cube
            end += count
            stretch = np.linalg.solve(cube, lattice)
            green = (stretch @ stretch.T - np.eye(3)) / 2
            energy = STIFFNESS / 2 * (away**2).sum() + BULK * EDGE**3 / 2 * (green**2).sum()
            stress = BULK * EDGE**3 * stretch.T @ green @ stretch
            if count == self.escape:
                stress = -5.0 * np.eye(3)
            energies.append(np.nan if count == self.nan else energy)
            forces.append(-STIFFNESS * away @ cube.T @ np.linalg.inv(lattice).T)
            stresses.append(stress / abs(np.linalg.det(lattice)))
        return PotentialResult(
            np.array(energies), np.concatenate(forces), np.stack(stresses), ("",) * len(energies)
        )
