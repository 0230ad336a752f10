"""Space groups and prototypes of known crystals, and distances between their frequencies."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.symmetry import compare_space_groups, space_groups, symmetry


def one(numbers, coords, lengths, angles=(90, 90, 90)):
    return CrystalBatch(numbers, coords, [lengths], [angles], [len(numbers)], ["x"])


HALF = (0.5, 0.5, 0.5)
ROCK_SALT = one([11, 17], [(0, 0, 0), HALF], (4,) * 3, (60,) * 3)
SPHALERITE = one([30, 16], [(0, 0, 0), (0.25, 0.25, 0.25)], (3.8,) * 3, (60,) * 3)
CAESIUM = one([55, 17], [(0, 0, 0), HALF], (4.1,) * 3)
COPPER = one([29], [(0, 0, 0)], (2.55,) * 3, (60,) * 3)
OXYGENS = [(0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
PEROVSKITE = one([38, 22, 8, 8, 8], [(0, 0, 0), HALF, *OXYGENS], (3.9,) * 3)
GROUPS = {225: ROCK_SALT, 216: SPHALERITE, 221: CAESIUM}


def test_space_groups_of_known_crystals():
    batch = CrystalBatch.concatenate([*GROUPS.values(), COPPER, PEROVSKITE])
    assert space_groups(batch).tolist() == [225, 216, 221, 225, 221]
    found = symmetry(batch)
    assert found.prototypes.tolist()[0] == "AB_225_a_b" and found.prototypes[3] == "A_225_a"
    histogram = found.histogram()
    assert histogram.shape == (231,) and histogram[225] == 2 and histogram.sum() == 5
    assert found.histogram(np.array([True, False, False, False, False])).sum() == 1


def test_tolerance_decides():
    coords = PEROVSKITE.frac_coords.copy()
    coords[1, 2] += 0.01  # 0.04 Å
    bent = PEROVSKITE.replace(frac_coords=coords)
    assert space_groups(bent, 0.1)[0] == 221
    assert space_groups(bent, 0.01)[0] == 99


def test_a_prototype_knows_neither_elements_nor_origin_nor_cell():
    label = symmetry(PEROVSKITE).prototypes[0]
    assert label.startswith("ABC3_221_")
    moved = PEROVSKITE.replace(frac_coords=PEROVSKITE.frac_coords + 0.5)
    other = PEROVSKITE.replace(atomic_numbers=np.array([22, 38, 9, 9, 9]))
    anti = PEROVSKITE.replace(atomic_numbers=np.array([8, 38, 22, 22, 22]))
    large = PEROVSKITE.to_pymatgen()[0]
    large.make_supercell((2, 1, 1))
    for crystal in (moved, other, anti, CrystalBatch.from_pymatgen([large])):
        assert symmetry(crystal).prototypes[0] == label
    swapped = ROCK_SALT.replace(frac_coords=ROCK_SALT.frac_coords[::-1])
    assert symmetry(swapped).prototypes[0] == symmetry(ROCK_SALT).prototypes[0]
    assert len(set(symmetry(CrystalBatch.concatenate(GROUPS.values())).prototypes)) == 3


@pytest.mark.data
def test_equals_pymatgen_s_analyzer_on_real_crystals(mp20_crystals):
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    chosen = mp20_crystals[::40]
    theirs = [SpacegroupAnalyzer(s, 0.1).get_space_group_number() for s in chosen.to_pymatgen()]
    found = symmetry(chosen)
    assert np.mean(found.space_groups == theirs) > 0.95  # the analyzer has an angle tolerance too
    assert [p.split("_")[1] for p in found.prototypes] == found.space_groups.astype(str).tolist()


def test_hopeless_crystals_have_none():
    flat = ROCK_SALT.replace(angles=np.array([[60, 60, 120]]))
    open_type = ROCK_SALT.replace(atomic_numbers=np.array([0, 17]))
    overlapping = one([11, 11], [(0, 0, 0)] * 2, (4, 4, 4))
    empty = one([], np.zeros((0, 3)), (3, 3, 3))
    batch = CrystalBatch.concatenate([flat, open_type, overlapping, empty, ROCK_SALT])
    found = symmetry(batch)
    assert found.space_groups.tolist() == [0, 0, 0, 0, 225]
    assert found.prototypes.tolist()[:4] == [""] * 4
    assert symmetry(CrystalBatch.empty()).prototypes.shape == (0,)
    with pytest.raises(InputError, match="symprec must be positive"):
        symmetry(ROCK_SALT, 0)


def test_equal_and_disjoint_distributions():
    one_kind, other = np.array([225] * 30), np.array([1] * 40)
    same = compare_space_groups(one_kind, one_kind)
    assert same.total_variation.value == 0 and same.jensen_shannon.value == 0
    apart = compare_space_groups(one_kind, other)
    assert apart.total_variation.value == 1 and apart.jensen_shannon.value == pytest.approx(1)
    assert apart.total_variation.n == 30


def test_distances_equal_scipy_s_and_hand():
    generated = np.array([1] * 30 + [2] * 50 + [0] * 20)
    reference = np.array([1] * 10 + [2] * 70 + [225] * 20)
    found = compare_space_groups(generated, reference)
    assert found.total_variation.value == pytest.approx(0.4)
    expected = jensenshannon([0.3, 0.5, 0.2, 0], [0.1, 0.7, 0, 0.2], base=2)
    assert found.jensen_shannon.value == pytest.approx(expected)
    assert found.total_variation.low < 0.4 < found.total_variation.high
    assert found == compare_space_groups(generated, reference)


def test_nothing_to_compare():
    empty = np.zeros(0, dtype=np.int64)
    assert np.isnan(compare_space_groups(empty, np.array([1])).total_variation.value)
    with pytest.raises(InputError, match="no reference"):
        compare_space_groups(np.array([1]), empty)
    with pytest.raises(InputError, match="run from 1 to 230"):
        compare_space_groups(np.array([231]), np.array([1]))
