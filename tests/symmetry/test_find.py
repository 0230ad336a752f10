"""Crystals found again: group, letters, coordinates, and one description of each."""

import numpy as np
import pytest
import spglib
from pymatgen.analysis.structure_matcher import StructureMatcher

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.data import reduce_cif
from flowllm.errors import InputError
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.descriptions import steps_of
from flowllm.symmetry.find import find_symmetry
from flowllm.symmetry.normalizer import canonical, equivalents
from flowllm.symmetry.space_group import space_group
from tests.symmetry.random_crystals import (
    GROUPS,
    described_otherwise,
    handedness,
    lattice_type,
    mirrored,
    random_crystal,
)

TIGHT = 0.01  # Å
MATCHER = StructureMatcher(ltol=0.1, stol=0.1, angle_tol=3, scale=False)
CHIRAL = [n for n in GROUPS if (np.linalg.det(space_group(n).rotations) > 0).all()]


def rms(a, b) -> float:
    """Root mean square distance in Å of two batches of one; infinite without a match."""
    one, other = a.to_pymatgen()[0], b.to_pymatgen()[0]
    found = MATCHER.get_rms_dist(one, other)
    return np.inf if found is None else found[0] * (one.volume / len(one)) ** (1 / 3)


def same(a: SymmetricCrystal, b: SymmetricCrystal) -> bool:
    """Whether two descriptions are one, in hundredths and to 0.02 Å."""
    steps = ([steps_of(values).tolist() for values in crystal.free_values()] for crystal in (a, b))
    return (
        (a.number, a.letters, a.elements.tolist()) == (b.number, b.letters, b.elements.tolist())
        and next(steps) == next(steps)
        and np.allclose(a.lengths, b.lengths, atol=0.02)
        and np.allclose(a.angles, b.angles, atol=0.05)
    )


def primitive_of(crystal: CrystalBatch) -> CrystalBatch:
    """A primitive cell by spglib of a batch of one."""
    cell = (crystal.lattices[0], crystal.frac_coords, crystal.atomic_numbers)
    lattice, coords, numbers = spglib.standardize_cell(cell, True, True, TIGHT)
    lengths, angles = cell_parameters(lattice)
    count = np.array([len(numbers)])
    return CrystalBatch(numbers, coords, lengths[None], angles[None], count, crystal.ids)


def test_the_groups_have_all_fourteen_lattices():
    assert {lattice_type(number) for number in GROUPS} == {
        "aP", "mP", "mS", "oP", "oS", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF",
    }  # fmt: skip
    assert len(GROUPS) > 60 and len(CHIRAL) > 15


@pytest.mark.parametrize("number", GROUPS)
def test_a_random_crystal_is_found_again(number):
    rng = np.random.default_rng(number)
    made = random_crystal(number, rng)
    primitive, conventional = made.to_primitive("x"), made.to_conventional("x")
    assert len(primitive.atomic_numbers) == made.num_atoms
    assert len(conventional.atomic_numbers) == made.num_atoms * made.group.points
    for cell in (primitive, conventional):
        found = find_symmetry(cell, TIGHT)
        assert found.number == number
        assert sorted(p.multiplicity for p in found.positions) == sorted(
            p.multiplicity for p in made.positions
        )
        assert canonical(found).letters == canonical(made).letters
        assert rms(found.to_primitive(), primitive) < 1e-3
        assert rms(primitive_of(found.to_conventional()), primitive) < 1e-3


@pytest.mark.parametrize("number", GROUPS)
def test_one_crystal_has_one_canonical_description(number):
    rng = np.random.default_rng(1000 + number)
    made = random_crystal(number, rng)
    expected = canonical(find_symmetry(made.to_primitive("x"), TIGHT))
    assert same(canonical(made), expected)
    assert same(canonical(expected), expected)
    for _ in range(3):
        other = described_otherwise(made.to_primitive("x"), rng)
        assert same(canonical(find_symmetry(other, TIGHT)), expected)
    for other in equivalents(expected):
        assert other.number == number and same(canonical(other), expected)
        assert rms(other.to_primitive(), expected.to_primitive()) < 1e-3


@pytest.mark.parametrize("number", CHIRAL)
def test_mirror_images_are_kept_apart(number):
    rng = np.random.default_rng(5000 + number)
    made = random_crystal(number, rng)
    crystal = made.to_primitive("x")
    hands = handedness(crystal)
    for cell in (crystal, described_otherwise(crystal, rng)):
        found = find_symmetry(cell, TIGHT)
        for each in (found, canonical(found), *equivalents(canonical(found))):
            for element, values in handedness(each.to_primitive()).items():
                np.testing.assert_allclose(values, hands[element], rtol=1e-2, atol=1e-3)
    image = canonical(find_symmetry(mirrored(crystal), TIGHT))
    assert not same(image, canonical(made))
    partners = {91: 95, 95: 91, 144: 145, 152: 154, 178: 179, 180: 181, 212: 213, 213: 212}
    partners |= {96: 92}
    assert image.number == partners.get(number, number)


def test_real_crystals_match_their_symmetric_description(mp20_rows):
    equal, misfits = [], []
    rows = mp20_rows.iloc[::2]
    for cif, group in zip(rows["cif"], rows["spacegroup.number"], strict=True):
        crystal = reduce_cif(cif, "x")
        found = canonical(find_symmetry(crystal))
        assert found.num_atoms == crystal.num_atoms[0]
        primitive = found.to_primitive()
        assert primitive.compositions == crystal.compositions
        misfits.append(rms(primitive, crystal))
        equal.append(found.number == group)
    assert np.isfinite(misfits).all()
    assert np.median(misfits) < 5e-3 and max(misfits) < 0.1 and np.mean(equal) >= 0.98


def test_the_tolerance_is_halved_where_it_makes_one_atom_of_two(strained):
    found = find_symmetry(strained, 3.0)
    assert found.num_atoms == 2 and sorted(found.elements.tolist()) == [17, 55]


@pytest.fixture
def strained():
    """Caesium chloride; a tolerance of 3 Å holds half of its cell."""
    crystal = SymmetricCrystal(
        221, np.full(3, 4.1), np.full(3, 90.0), np.array([55, 17]), ("a", "b"),
        np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
    )  # fmt: skip
    return crystal.to_primitive("CsCl")


def test_rutile_is_written_as_in_textbooks():
    crystal = SymmetricCrystal(
        136, np.array([4.594, 4.594, 2.959]), np.full(3, 90.0), np.array([22, 8]), ("a", "f"),
        np.array([[0, 0, 0], [0.305, 0.305, 0]]),
    )  # fmt: skip
    assert crystal.num_atoms == 6 and [len(orbit) for orbit in crystal.orbits()] == [2, 4]
    found = canonical(find_symmetry(crystal.to_primitive("TiO2"), TIGHT))
    assert same(found, crystal)
    assert [values.tolist() for values in found.free_values()] == [[], [pytest.approx(0.305)]]


@pytest.mark.parametrize(
    ("number", "letters", "message"),
    [
        (0, ("a",), "space group must be from 1 to 230, not 0"),
        (231, ("a",), "space group must be from 1 to 230, not 231"),
        (136, ("z",), "space group 136 has no Wyckoff position 'z'"),
        (136, ("a", "f"), "as many elements and letters"),
    ],
)
def test_wrong_crystals_are_refused(number, letters, message):
    with pytest.raises(InputError, match=message):
        SymmetricCrystal(
            number, np.full(3, 4.0), np.full(3, 90.0), np.array([22]), letters, np.zeros((1, 3))
        )


def test_a_degenerate_cell_is_named():
    flat = SymmetricCrystal(
        1, np.array([4.0, 4, 4]), np.array([120.0, 120, 120]), np.array([8]), ("a",),
        np.zeros((1, 3)),
    )  # fmt: skip
    with pytest.raises(InputError, match="flat: the cell cannot be reduced"):
        flat.to_primitive("flat")


def test_hundredths_at_a_boundary_do_not_depend_on_rounding():
    assert steps_of(np.array([0.125 - 1e-9, 0.125, 0.9999, 0.0, 0.995])).tolist() == [
        13,
        13,
        0,
        0,
        0,
    ]
