"""Diffraction of a crystal: powder pattern and pair distances."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.batch import CrystalBatch

WAVELENGTH = "CuKa"
ANGLES = (10.0, 90.0)
"""Degrees of 2θ that are computed."""
STEP = 0.05  # degrees
WIDTH = 0.2  # degrees, standard deviation of a drawn peak
RADIUS = 8.0
"""Å up to which pairs are counted."""
BIN = 0.05  # Å
BLUR = 0.08  # Å, standard deviation of a drawn distance


def powder_pattern(crystal: CrystalBatch) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of the X-ray powder pattern (Cu Kα) of a batch of one, by pymatgen.

    Returns:
        (P,) 2θ in degrees and (P,) intensities, the strongest 100.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    (structure,) = crystal.to_pymatgen()
    pattern = XRDCalculator(WAVELENGTH).get_pattern(structure, two_theta_range=ANGLES)
    return np.asarray(pattern.x, dtype=float), np.asarray(pattern.y, dtype=float)


def powder_curve(crystal: CrystalBatch) -> tuple[np.ndarray, np.ndarray]:
    """(S,) 2θ in degrees and (S,) intensities with peaks of a finite width, the highest 100."""
    angles, heights = powder_pattern(crystal)
    grid = np.arange(ANGLES[0], ANGLES[1] + STEP / 2, STEP)
    bells = np.exp(-0.5 * ((grid[:, None] - angles) / WIDTH) ** 2) @ heights
    return grid, 100 * bells / max(bells.max(initial=0.0), 1e-12)


def radial_distribution(crystal: CrystalBatch) -> tuple[np.ndarray, np.ndarray]:
    """Radial distribution function of a batch of one.

    Returns:
        (S,) r in Å and (S,) g(r), which goes to 1 at large r.
    """
    (structure,) = crystal.to_pymatgen()
    _, _, _, distances = structure.get_neighbor_list(RADIUS + 4 * BLUR)
    grid = np.arange(BIN, RADIUS + BIN / 2, BIN)
    weights = np.exp(-0.5 * ((grid[:, None] - distances) / BLUR) ** 2) / (BLUR * np.sqrt(2 * np.pi))
    density = len(structure) / structure.volume
    return grid, weights.sum(1) / (4 * np.pi * grid**2 * density * len(structure))
