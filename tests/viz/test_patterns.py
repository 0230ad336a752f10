"""Powder patterns and pair distances against what is known of simple crystals."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.patterns import powder_curve, powder_pattern, radial_distribution

# a = 5.640 Å, the primitive cell
SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(5.640 / 2**0.5,) * 3], [(60, 60, 60)], [2], ["a"]
)
WAVELENGTH = 1.54184  # Å, Cu Kα


def test_peaks_of_rock_salt_stand_where_bragg_says():
    angles, heights = powder_pattern(SALT)
    strong = angles[heights > 10]
    # d = a / sqrt(h² + k² + l²) of (200), (220), (222), (420), (422): the strong ones of NaCl
    for squares in (4, 8, 12, 20, 24):
        bragg = 2 * np.degrees(np.arcsin(WAVELENGTH * np.sqrt(squares) / (2 * 5.640)))
        assert np.abs(strong - bragg).min() < 0.02
    assert angles[heights.argmax()] == pytest.approx(31.7, abs=0.05)  # (200) of the ICDD card
    assert heights.max() == pytest.approx(100)


def test_a_curve_has_its_peaks_and_fades_between_them():
    angles, heights = powder_curve(SALT)
    assert heights.max() == pytest.approx(100)
    assert angles[heights.argmax()] == pytest.approx(31.7, abs=0.1)
    assert heights[np.abs(angles - 38).argmin()] < 1


def test_pairs_of_rock_salt_are_counted_in_their_shells():
    radius, density = radial_distribution(SALT)
    atoms = 8 / 5.640**3
    shell = 4 * np.pi * radius**2 * atoms * density * (radius[1] - radius[0])
    counts = [shell[np.abs(radius - r) < 0.35].sum() for r in (2.820, 3.988)]
    assert counts == pytest.approx([6, 12], rel=0.02)
    assert density[radius < 2.3].max() < 1e-3
    wide = density[radius > 4]
    assert wide.mean() == pytest.approx(1, abs=0.15)


def test_a_larger_cell_has_the_same_patterns():
    structure = SALT.to_pymatgen()[0] * (2, 1, 1)
    larger = CrystalBatch.from_pymatgen([structure])
    for pattern in (powder_curve, radial_distribution):
        assert np.allclose(pattern(larger)[1], pattern(SALT)[1], atol=0.1)
