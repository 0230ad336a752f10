"""Potentials: energies, forces and stresses of several crystals in one call."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.relax.graphs import ATOM_CUTOFF, Bonds, find_bonds, join_bonds

if TYPE_CHECKING:
    from flowllm.relax.network import FastChgnet

HEAVIEST = 94
"""Plutonium; CHGNet knows no element beyond it."""

MIN_VOLUME_PER_ATOM = 1.5
"""Å^3; less than hydrogen at hundreds of GPa."""

MIN_DISTANCE = 1e-3
"""Å; the direction between closer atoms is rounding."""

MAX_ANGLES = 100_000
"""Angles that are evaluated together; as many take about 2 GB."""

MAX_IMAGES = 20_000
"""Images of a cell that reach into the cutoff; more are found in needles and sheets only."""


@dataclass(frozen=True)
class PotentialResult:
    """Energies of B crystals with N atoms and their derivatives.

    Attributes:
        energies: (B,) total energies in eV; NaN where there is a reason.
        forces: (N, 3) in eV/Å, Cartesian.
        stresses: (B, 3, 3) dE/dstrain over the volume in eV/Å^3, positive when stretched (ASE's
            sign), symmetric.
        reasons: B texts, why a crystal could not be evaluated; "" where it could.
    """

    energies: np.ndarray
    forces: np.ndarray
    stresses: np.ndarray
    reasons: tuple[str, ...]


class Potential(Protocol):
    """Anything that evaluates several crystals at once; it must be picklable."""

    def __call__(
        self,
        atomic_numbers: np.ndarray,
        frac_coords: np.ndarray,
        lattices: np.ndarray,
        num_atoms: np.ndarray,
    ) -> PotentialResult:
        """Evaluate B crystals with N atoms in all.

        Args:
            atomic_numbers: (N,) int64.
            frac_coords: (N, 3), not necessarily in [0, 1).
            lattices: (B, 3, 3) in Å, rows are the cell vectors, in any orientation.
            num_atoms: (B,) int64.
        """
        ...


def evaluate(crystals: CrystalBatch, potential: Potential | None = None) -> PotentialResult:
    """Energies, forces and stresses of crystals; by CHGNet unless another is given.

    Raises:
        InputError: a cell that spans no volume.
    """
    c = crystals
    chosen = potential or ChgnetPotential()
    return chosen(c.atomic_numbers, c.frac_coords, c.lattices, c.num_atoms)


@dataclass(frozen=True)
class ChgnetPotential:
    """CHGNet 0.3.0, loaded once per process; its energies are MP2020-corrected totals.

    Attributes:
        double: compute with 64 bits; the weights were trained with 32.
    """

    double: bool = False

    def __call__(
        self,
        atomic_numbers: np.ndarray,
        frac_coords: np.ndarray,
        lattices: np.ndarray,
        num_atoms: np.ndarray,
    ) -> PotentialResult:
        """See `Potential`; crystals that CHGNet cannot evaluate are given reasons."""
        energies = np.full(len(num_atoms), np.nan)
        forces = np.full((len(atomic_numbers), 3), np.nan)
        stresses = np.full((len(num_atoms), 3, 3), np.nan)
        ends = np.cumsum(num_atoms)
        atoms = [slice(end - count, end) for end, count in zip(ends, num_atoms, strict=True)]
        reasons, found = [], {}
        for index, rows in enumerate(atoms):
            reason = unsuitable(atomic_numbers[rows], frac_coords[rows], lattices[index])
            if not reason:
                bonds = find_bonds(frac_coords[rows], lattices[index])
                reason = unbound(bonds)
                found[index] = bonds
            reasons.append(reason)
        angles = {i: bonds.num_angles for i, bonds in found.items() if not reasons[i]}
        for group in groups_within(angles, MAX_ANGLES):
            numbers = np.concatenate([atomic_numbers[atoms[i]] for i in group])
            parts = self._evaluate(numbers, [found[i] for i in group])
            for i, energy, pull, virial in zip(group, *parts, strict=True):
                energies[i], forces[atoms[i]] = energy, pull
                stresses[i] = (virial + virial.T) / 2 / abs(np.linalg.det(lattices[i]))
        return PotentialResult(energies, forces, stresses, tuple(reasons))

    def _evaluate(
        self, numbers: np.ndarray, bonds: list[Bonds]
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """Energies (C,), forces of each of C crystals, and dE/dstrain (C, 3, 3) in eV."""
        graph = join_bonds(bonds)
        counts = [part.num_atoms for part in bonds]
        of_atoms, gradient = load_chgnet(self.double)(numbers, graph)
        starts = np.cumsum([0, *counts[:-1]])
        forces = np.zeros((len(numbers), 3))
        np.add.at(forces, graph.first, gradient)
        np.subtract.at(forces, graph.second, gradient)
        virials = np.zeros((len(counts), 3, 3))
        np.add.at(virials, graph.crystal, graph.vectors[:, :, None] * gradient[:, None, :])
        return np.add.reduceat(of_atoms, starts), np.split(forces, starts[1:]), virials


@lru_cache(maxsize=2)
def load_chgnet(double: bool = False) -> FastChgnet:
    """The network with chgnet's weights, one copy per process and precision."""
    import torch
    from chgnet.model import CHGNet

    from flowllm.relax.network import FastChgnet

    with redirect_stdout(StringIO()):  # chgnet prints its number of parameters
        model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    return FastChgnet(model, torch.float64 if double else torch.float32)


def unsuitable(atomic_numbers: np.ndarray, frac_coords: np.ndarray, lattice: np.ndarray) -> str:
    """Why bonds of n atoms in a (3, 3) lattice cannot be searched; "" if they can."""
    if not len(atomic_numbers):
        return "it has no atoms"
    if (atomic_numbers < 1).any():
        return "an atom's type is open"
    if (atomic_numbers > HEAVIEST).any():
        return f"CHGNet does not cover element {atomic_numbers.max()}"
    if not (np.isfinite(frac_coords).all() and np.isfinite(lattice).all()):
        return "a coordinate is not finite"
    volume = abs(np.linalg.det(lattice))
    if volume < MIN_VOLUME_PER_ATOM * len(atomic_numbers):
        return f"its cell has only {volume / len(atomic_numbers):.2g} Å^3 per atom"
    sides = np.cross(np.roll(lattice, -1, axis=0), np.roll(lattice, -2, axis=0))
    heights = volume / np.linalg.norm(sides, axis=1)
    if np.prod(2 * np.ceil(ATOM_CUTOFF / heights) + 1) > MAX_IMAGES:
        return f"its cell is {heights.min():.2g} Å thick"
    return ""


def unbound(bonds: Bonds) -> str:
    """Why bonds are unsuitable for CHGNet; "" if they are suitable."""
    if bonds.lonely:
        return f"atoms have no neighbours within {ATOM_CUTOFF:g} Å"
    if bonds.lengths.min() < MIN_DISTANCE:
        return "atoms lie on top of each other"
    if bonds.num_angles > MAX_ANGLES:
        return f"its atoms lie so close that they form {bonds.num_angles} angles"
    return ""


def groups_within(sizes: dict[int, int], limit: int) -> list[list[int]]:
    """Keys in order, grouped so that sizes add up to at most the limit where possible."""
    groups: list[list[int]] = []
    total = 0
    for key, size in sizes.items():
        if not groups or total + size > limit:
            groups.append([])
            total = 0
        groups[-1].append(key)
        total += size
    return groups
