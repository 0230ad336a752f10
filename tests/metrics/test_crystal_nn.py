"""Site fingerprints against matminer's on real and odd crystals, and what must not change them."""

import warnings

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.crystal_nn import site_fingerprints


def one(numbers, coords, lengths, angles=(90, 90, 90)):
    return CrystalBatch(numbers, coords, [lengths], [angles], [len(numbers)], ["x"])


def random_cell(count, lengths, angles, seed=0):
    rng = np.random.default_rng(seed)
    return one(rng.integers(1, 84, count), rng.random((count, 3)), lengths, angles)


FCC = one([29], [(0, 0, 0)], (2.55,) * 3, (60,) * 3)
PEROVSKITE = one(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    (3.9,) * 3,
)
ODD = {
    "face-centred cubic, one atom": FCC,
    "body-centred cubic, one atom": one([26], [(0, 0, 0)], (2.48,) * 3, (109.47122063449069,) * 3),
    "simple cubic, one atom": one([84], [(0, 0, 0)], (3.35,) * 3),
    "perovskite": PEROVSKITE,
    "fluorite": one([20, 9, 9], [(0, 0, 0), (0.25,) * 3, (0.75,) * 3], (3.86,) * 3, (60, 60, 60)),
    "chains far apart": one([29], [(0, 0, 0)], (2.5, 2.5, 30)),
    "graphene layers": one(
        [6, 6], [(1 / 3, 2 / 3, 0.5), (2 / 3, 1 / 3, 0.5)], (2.46, 2.46, 16), (90, 90, 120)
    ),
    "atoms too far apart to be bonded": one([2], [(0, 0, 0)], (9, 9.5, 10), (90, 80, 90)),
    "noble gases": one(
        [54, 10, 18], [(0, 0, 0), (0.4, 0.5, 0.5), (0.1, 0.9, 0.6)], (4, 5, 6), (90, 80, 100)
    ),
    "thin cell": one([29, 8], [(0, 0, 0), (0.5, 0.5, 0.5)], (0.9, 6, 9), (90, 95, 100)),
    "skewed cell": one([29, 8], [(0, 0, 0), (0.5, 0.45, 0.5)], (4, 5, 6), (60, 35, 45)),
    "twenty atoms": random_cell(20, (7, 7, 8), (90, 80, 110)),
    "crowded": random_cell(8, (4, 4, 4.5), (90, 80, 110)),
}


def by_matminer(crystal):
    from matminer.featurizers.site import CrystalNNFingerprint

    featurizer = CrystalNNFingerprint.from_preset("ops")
    structure = crystal.to_pymatgen()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([featurizer.featurize(structure, i) for i in range(len(structure))])


@pytest.mark.parametrize("name", ODD)
def test_odd_crystals_equal_matminer_s(name):
    ours, reasons = site_fingerprints(ODD[name])
    assert reasons == [""]
    np.testing.assert_allclose(ours, by_matminer(ODD[name]), atol=1e-6)


@pytest.mark.data
def test_real_crystals_equal_matminer_s(mp20_crystals):
    chosen = mp20_crystals[::100]
    ours, reasons = site_fingerprints(chosen)
    assert not any(reasons)
    np.testing.assert_allclose(
        ours, np.concatenate([by_matminer(crystal) for crystal in chosen]), atol=1e-6
    )


@pytest.mark.data
def test_perturbed_crystals_equal_matminer_s(mp20_crystals):
    small = mp20_crystals[mp20_crystals.num_atoms <= 8]
    chosen = small[5::80]
    noise = np.random.default_rng(0).normal(scale=0.02, size=chosen.frac_coords.shape)
    chosen = chosen.replace(frac_coords=chosen.frac_coords + noise)
    ours, _ = site_fingerprints(chosen)
    np.testing.assert_allclose(
        ours, np.concatenate([by_matminer(crystal) for crystal in chosen]), atol=1e-6
    )


def test_known_coordinations():
    from matminer.featurizers.site import CrystalNNFingerprint

    names = CrystalNNFingerprint.from_preset("ops").feature_labels()
    perovskite = site_fingerprints(PEROVSKITE)[0]
    titanium = dict(zip(names, perovskite[1], strict=True))
    assert titanium["wt CN_6"] == pytest.approx(1) and titanium["octahedral CN_6"] > 0.99
    copper = dict(zip(names, site_fingerprints(FCC)[0][0], strict=True))
    assert copper["wt CN_12"] == pytest.approx(1) and copper["cuboctahedral CN_12"] > 0.99
    assert copper["q6 CN_12"] == pytest.approx(0.5745, abs=1e-4)


def supercell(crystal, repeats):
    from pymatgen.core import Structure

    structure: Structure = crystal.to_pymatgen()[0]
    structure.make_supercell(repeats)
    return CrystalBatch.from_pymatgen([structure])


@pytest.mark.data
def test_origin_order_and_cell_do_not_matter(mp20_crystals):
    rng = np.random.default_rng(1)
    small = mp20_crystals[mp20_crystals.num_atoms <= 8][::50]
    assert len(small) > 5
    for crystal in small:
        # off the special positions, where rounding decides what pymatgen's thresholds do
        noise = rng.normal(scale=0.01, size=crystal.frac_coords.shape)
        crystal = crystal.replace(frac_coords=crystal.frac_coords + noise)
        mean = site_fingerprints(crystal)[0].mean(0)
        moved = crystal.replace(frac_coords=crystal.frac_coords + rng.random(3))
        order = rng.permutation(len(crystal.atomic_numbers))
        shuffled = crystal.replace(
            atomic_numbers=crystal.atomic_numbers[order], frac_coords=crystal.frac_coords[order]
        )
        for other in (moved, shuffled, supercell(crystal, (2, 1, 1))):
            np.testing.assert_allclose(site_fingerprints(other)[0].mean(0), mean, atol=1e-6)


def test_a_batch_equals_its_crystals_and_survives_the_hopeless():
    flat = FCC.replace(angles=np.array([[60, 60, 120]]))
    open_type = PEROVSKITE.replace(atomic_numbers=np.array([0, 22, 8, 8, 8]))
    heavy = FCC.replace(atomic_numbers=np.array([118]))
    empty = one([], np.zeros((0, 3)), (3, 3, 3))
    same_place = one([11, 17], [(0, 0, 0)] * 2, (4, 4, 4))
    parts = [FCC, flat, open_type, PEROVSKITE, heavy, empty, same_place, FCC]
    values, reasons = site_fingerprints(CrystalBatch.concatenate(parts))
    assert reasons == [
        "",
        "the cell has zero volume",
        "an atom's type is open",
        "",
        "Og has no radius",
        "no atoms",
        "two atoms are in the same place",
        "",
    ]
    lost = [
        np.isnan(v).all()
        for v in np.split(values, np.cumsum([len(p.frac_coords) for p in parts])[:-1])
    ]
    assert lost == [False, True, True, False, True, True, True, False]
    np.testing.assert_array_equal(values[0], site_fingerprints(FCC)[0][0])
    np.testing.assert_allclose(values[7:12], site_fingerprints(PEROVSKITE)[0], atol=1e-12)
    assert site_fingerprints(CrystalBatch.empty())[0].shape == (0, 61)
