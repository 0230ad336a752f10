"""The fingerprint: pymatgen's neighbour distances, invariances, continuity and faults."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.stability.fingerprint import CUTOFF, NEIGHBOURS, fingerprints


def by_pymatgen(structure):
    """The same from pymatgen's list of neighbours."""
    radius = CUTOFF * (structure.volume / len(structure)) ** (1 / 3)
    kinds = sorted({site.specie.Z for site in structure})
    rows = []
    for first in kinds:
        centres = [site for site in structure if first == site.specie.Z]
        lists = [structure.get_neighbors(site, radius) for site in centres]
        for second in kinds:
            found = []
            for neighbours in lists:
                near = sorted(n.nn_distance for n in neighbours if second == n.specie.Z)
                near += [radius] * NEIGHBOURS
                found.append(near[:NEIGHBOURS])
            rows.append(np.mean(found, axis=0))
    return np.array(rows) / radius * CUTOFF


def test_distances_are_those_of_pymatgens_neighbours(polymorphs):
    some = polymorphs[::7]
    for found, structure in zip(fingerprints(some), some.to_pymatgen(), strict=True):
        assert found == pytest.approx(by_pymatgen(structure), abs=1e-6)


def test_rock_salt_by_hand():
    corners = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    edges = [[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    numbers = [11] * 4 + [17] * 4
    salt = CrystalBatch(numbers, [*corners, *edges], [[5.6] * 3], [[90.0] * 3], [8], ["NaCl"])
    found = fingerprints(salt)[0]
    # (V/n)^(1/3) is half the cell: six chlorines at 1, and of sodium twelve at the square root of 2
    assert found == pytest.approx(np.array([[2**0.5] * 6, [1.0] * 6, [1.0] * 6, [2**0.5] * 6]))


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_cell_origin_and_order_do_not_matter(polymorphs, rewritten, seed):
    rng = np.random.default_rng(seed)
    chosen = polymorphs[rng.choice(len(polymorphs), 2)]
    chosen = chosen[chosen.num_atoms <= 12]
    for one, other in zip(fingerprints(chosen), fingerprints(rewritten(chosen, seed)), strict=True):
        assert other == pytest.approx(one, abs=1e-6)


def test_a_thin_cell_is_looked_at_in_a_better_one(polymorphs):
    crystal = polymorphs[3]
    structure = crystal.to_pymatgen()[0]
    structure.make_supercell([[1, 0, 0], [37, 1, 0], [-23, 41, 1]])
    sheared = CrystalBatch.from_pymatgen([structure])
    assert fingerprints(sheared)[0] == pytest.approx(fingerprints(crystal)[0], abs=1e-5)


def test_it_changes_no_more_than_the_atoms_move(polymorphs):
    some = polymorphs[::5]
    rng = np.random.default_rng(0)
    step = 1e-3 / np.repeat(some.lengths, some.num_atoms, axis=0)
    moved = some.replace(frac_coords=some.frac_coords + step * rng.choice([-1, 1], step.shape))
    for volume, count, one, other in zip(
        some.volumes, some.num_atoms, fingerprints(some), fingerprints(moved), strict=True
    ):
        # two atoms, each moved by up to 1e-3 Å along each of three axes
        assert np.abs(one - other).max() <= 6.1e-3 / (volume / count) ** (1 / 3)


def test_scale_does_not_matter_but_elements_do(polymorphs):
    crystal = polymorphs[:1]
    larger = crystal.replace(lengths=1.3 * crystal.lengths)
    assert fingerprints(larger)[0] == pytest.approx(fingerprints(crystal)[0])
    kinds = np.unique(crystal.atomic_numbers)
    swap = dict(zip(kinds, np.roll(kinds, 1), strict=True))
    other = crystal.replace(atomic_numbers=[swap[n] for n in crystal.atomic_numbers])
    assert np.abs(fingerprints(other)[0] - fingerprints(crystal)[0]).max() > 0.1


def test_what_has_no_fingerprint():
    def cell(lengths, angles, numbers):
        count = len(numbers)
        return CrystalBatch(numbers, np.zeros((count, 3)), [lengths], [angles], [count], ["a"])

    flat = cell([4, 4, 4], [120, 120, 120], [11])
    needle = cell([1e5, 1e-2, 1e-2], [90, 90, 90], [11])
    open_type = cell([4, 4, 4], [90, 90, 90], [0])
    nothing = cell([4, 4, 4], [90, 90, 90], [])
    batch = CrystalBatch.concatenate([flat, needle, open_type, nothing])
    assert fingerprints(batch) == [None] * 4
