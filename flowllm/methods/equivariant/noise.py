"""Noise that preserves a crystal's symmetry, at all scales.

A target is displaced and strained within its space group (or, for a share, in P1) and stands then
at time t of the straight path back: coordinates move along a line, cells along L exp(t D) with a
symmetric D.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowllm.methods.equivariant.noise_settings import NoiseSettings
from flowllm.methods.equivariant.pairs import Starts
from flowllm.methods.equivariant.targets import VOIGT, SymmetricTargets


def noisy_batch(
    targets: SymmetricTargets,
    settings: NoiseSettings,
    rng: np.random.Generator,
    at: float | None = None,
    starts: Starts | None = None,
) -> dict[str, Tensor]:
    """Noisy copies of B targets, and their remaining displacements and strains.

    Args:
        targets: where the ways end.
        settings: how far away they begin.
        rng: what the noise is drawn from.
        at: the time in [0, 1] at which all copies stand; by default each has its own.
        starts: where some copies begin instead of at drawn noise.

    Returns:
        `species` (N,), `frac_coords` (N, 3), `lattices` (B, 3, 3), `num_atoms` (B,), `time` (B,);
        `displacement` (N, 3) in Å and `strain` (B, 3, 3): the moves to the target.
    """
    size, atoms = len(targets), int(targets.num_atoms.sum())
    crystal = np.repeat(np.arange(size), targets.num_atoms)
    time = rng.random(size)
    if at is not None:
        time[:] = at
    left = (1 - time) * (rng.random(size) >= settings.untouched)
    broken = rng.random(size) < settings.broken
    scales = [
        top * settings.smallest ** rng.random(size)
        for top in (settings.displacement, settings.volume, settings.strain)
    ]
    strain = _strain(targets, broken, scales[1], scales[2], rng) * left[:, None, None]
    moved = _displacement(targets, crystal, broken, rng)
    moved *= (scales[0] * left)[crystal][:, None]
    moved -= (_per_crystal(moved, crystal, size) / targets.num_atoms[:, None])[crystal]
    if starts is not None:
        way = np.where(starts.used, 1 - time, 0)
        strain = np.where(starts.used[:, None, None], starts.strain * way[:, None, None], strain)
        placed = starts.displacement * way[crystal][:, None]
        moved = np.where(starts.used[crystal][:, None], placed, moved)
    lattices = targets.lattices @ exponential(-strain)
    # the displacement left, in Å of the strained cell
    frac = np.einsum("ni,nij->nj", moved, np.linalg.inv(lattices)[crystal])
    assert frac.shape == (atoms, 3)
    arrays = {
        "species": targets.atomic_numbers,
        "frac_coords": (targets.frac_coords - frac).astype(np.float32),
        "lattices": lattices.astype(np.float32),
        "num_atoms": targets.num_atoms,
        "time": time.astype(np.float32),
        "displacement": moved.astype(np.float32),
        "strain": strain.astype(np.float32),
    }
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def _displacement(
    targets: SymmetricTargets, crystal: np.ndarray, broken: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(N, 3) unit displacements, those of an orbit from its first atom's."""
    offsets = np.cumsum(targets.num_orbits) - targets.num_orbits
    of_orbit = rng.standard_normal((int(targets.num_orbits.sum()), 3))
    kept = np.einsum("nij,nj->ni", targets.moves, of_orbit[offsets[crystal] + targets.orbit])
    free = rng.standard_normal(kept.shape)
    return np.where(broken[crystal][:, None], free, kept)


def _strain(
    targets: SymmetricTargets,
    broken: np.ndarray,
    volume: np.ndarray,
    shape: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(B, 3, 3) symmetric, without trace at scale `shape` plus an isotropic part of `volume`."""
    size = len(targets)
    drawn = rng.standard_normal((size, 6)) * np.array([1, 1, 1, 0.5**0.5, 0.5**0.5, 0.5**0.5])
    kept = np.einsum("bij,bj->bi", targets.strains, drawn)
    values = np.where(broken[:, None], drawn, kept) * shape[:, None]
    strain = np.zeros((size, 3, 3))
    for place, (row, column) in enumerate(VOIGT):
        strain[:, row, column] = strain[:, column, row] = values[:, place]
    trace = np.trace(strain, axis1=1, axis2=2)
    wanted = volume * rng.uniform(-1, 1, size)
    return strain + ((wanted - trace) / 3)[:, None, None] * np.eye(3)


def exponential(matrices: np.ndarray) -> np.ndarray:
    """The matrix exponentials of symmetric matrices (B, 3, 3)."""
    values, vectors = np.linalg.eigh(matrices)
    found: np.ndarray = (vectors * np.exp(values)[:, None]) @ vectors.transpose(0, 2, 1)
    return found


def _per_crystal(values: np.ndarray, crystal: np.ndarray, size: int) -> np.ndarray:
    total = np.zeros((size, values.shape[1]))
    np.add.at(total, crystal, values)
    return total
