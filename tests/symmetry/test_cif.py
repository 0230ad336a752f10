"""CIF by symmetry: what it says, and that every reader finds the same crystal in it."""

import io
import warnings

import ase.io
import gemmi
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cif import read_block
from flowllm.data import reduce_cif
from flowllm.errors import InputError
from flowllm.symmetry.cif import symmetric_cif, to_cif
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.exact import conventional_cells, exact_symmetry
from flowllm.symmetry.normalizer import canonical
from flowllm.symmetry.space_group import space_group
from flowllm.symmetry.triplets import parse_triplet, write_triplet
from tests.symmetry.random_crystals import GROUPS, lattice_type, mirrored, random_crystal

MATCHER = StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.1, scale=False, primitive_cell=False)
CHOSEN = GROUPS[1::2]


def by_gemmi(text: str) -> Structure:
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
    sites = small.get_all_unit_cell_sites()
    cell = small.cell
    lattice = np.array(cell.orth.mat.tolist()).T
    return Structure(lattice, [s.element.name for s in sites],
                     [(s.fract.x, s.fract.y, s.fract.z) for s in sites]), cell  # fmt: skip


def by_pymatgen(text: str) -> Structure:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # doubled sites, an unknown group, no coordinates
        warnings.filterwarnings("ignore", ".*rounded to ideal values")  # of 0.33333333, as of all
        return Structure.from_str(text, "cif")


def by_ase(text: str) -> Structure:
    return AseAtomsAdaptor.get_structure(ase.io.read(io.StringIO(text), format="cif"))


def by_us(text: str) -> Structure:
    found = read_block(text)
    assert not found.remarks
    return CrystalBatch(
        found.atomic_numbers, found.frac_coords, found.lengths[None], found.angles[None],
        np.array([len(found.atomic_numbers)]), np.array(["x"]),
    ).to_pymatgen()[0]  # fmt: skip


def same_cell(structure: Structure, expected: CrystalBatch) -> bool:
    """Equal cells and sites, to a thousandth of an Å, in any order."""
    other = expected.to_pymatgen()[0]
    if len(structure) != len(other):
        return False
    np.testing.assert_allclose(structure.lattice.parameters, other.lattice.parameters, rtol=1e-6)
    left = np.ones(len(other), dtype=bool)
    kinds = np.array([site.specie.Z for site in other])
    for site in structure:
        gaps = other.frac_coords - site.frac_coords
        near = np.linalg.norm((gaps - np.round(gaps)) @ other.lattice.matrix, axis=1) < 1e-3
        (places,) = np.nonzero(near & left & (kinds == site.specie.Z))
        if not len(places):
            return False
        left[places[0]] = False
    return not left.any()


@pytest.mark.parametrize("number", CHOSEN)
def test_all_readers_find_the_same_crystal(number):
    crystal = canonical(random_crystal(number, np.random.default_rng(number)))
    text, expected = symmetric_cif(crystal), crystal.to_conventional("x")
    assert same_cell(by_gemmi(text)[0], expected)
    assert same_cell(by_pymatgen(text), expected)
    assert same_cell(by_ase(text), expected)
    assert same_cell(by_us(text), expected)
    block = gemmi.cif.read_string(text).sole_block()
    assert (
        gemmi.find_spacegroup_by_name(block.find_value("_space_group_name_H-M_alt")[1:-1]).number
        == number
    )
    assert int(block.find_value("_space_group_IT_number")) == number
    letters = list(block.find_values("_atom_site_Wyckoff_symbol"))
    assert letters == list(crystal.letters)
    sizes = list(map(int, block.find_values("_atom_site_symmetry_multiplicity")))
    assert sum(sizes) == len(expected.atomic_numbers)
    assert reduce_cif(text, "x", max_atoms_of(crystal)).num_atoms[0] == crystal.num_atoms


def max_atoms_of(crystal):
    from flowllm.data.reduce import ReduceSettings

    return ReduceSettings(max_atoms=crystal.num_atoms)


def test_the_chosen_groups_are_more_than_thirty_and_have_all_lattices():
    assert len(CHOSEN) > 30
    assert len({lattice_type(number) for number in CHOSEN}) >= 12


def test_the_lines_of_rutile():
    rutile = SymmetricCrystal(
        136, np.array([4.594, 4.594, 2.959]), np.full(3, 90.0), np.array([22, 8]), ("a", "f"),
        np.array([[0, 0, 0], [0.305, 0.305, 0]]),
    )  # fmt: skip
    lines = symmetric_cif(rutile).splitlines()
    for line in (
        "data_TiO2", "_chemical_formula_sum 'Ti2 O4'", "_cell_formula_units_Z 2",
        "_space_group_IT_number 136", "_space_group_name_H-M_alt 'P 42/m n m'",
        "_cell_length_a 4.59400000", "'-y+1/2,x+1/2,z+1/2'",
        "Ti1 Ti 2 a 0.00000000 0.00000000 0.00000000 1",
        "O1 O 4 f 0.30500000 0.30500000 0.00000000 1",
    ):  # fmt: skip
        assert line in lines
    assert to_cif(rutile.to_primitive("TiO2")) == ["\n".join(lines) + "\n"]


def test_the_last_letter_of_pmmm_is_alpha():
    group = space_group(47)
    crystal = SymmetricCrystal(
        47, np.array([6.0, 7, 8]), np.full(3, 90.0), np.array([8]), ("A",),
        group.positions["A"].place(np.array([[0.11, 0.22, 0.33]])),
    )  # fmt: skip
    assert "O1 O 8 \\a 0.11" in symmetric_cif(crystal)
    assert same_cell(by_us(symmetric_cif(crystal)), crystal.to_conventional())


def test_real_crystals_read_back(mp20_crystals):
    chosen = mp20_crystals[::40]
    texts, matcher = to_cif(chosen), StructureMatcher(ltol=0.02, stol=0.03, angle_tol=1)
    symmetric = 0
    for crystal, text in zip(chosen, texts, strict=True):
        expected = crystal.to_pymatgen()[0]
        for read in (by_gemmi(text)[0], by_pymatgen(text), by_ase(text), by_us(text)):
            assert matcher.fit(read, expected), crystal.ids[0]
        back = reduce_cif(text, "x")
        assert back.compositions == crystal.compositions
        symmetric += "Wyckoff" in text
    assert symmetric >= 0.9 * len(chosen)
    cells = conventional_cells(chosen)
    assert cells.ids.tolist() == chosen.ids.tolist()
    for crystal, cell in zip(chosen, cells, strict=True):
        assert cell.num_atoms[0] % crystal.num_atoms[0] == 0
        assert matcher.fit(cell.to_pymatgen()[0], crystal.to_pymatgen()[0])


def test_mirror_images_stay_apart_in_files():
    made = canonical(random_crystal(19, np.random.default_rng(3)))
    crystal = made.to_primitive("x")
    one, other = to_cif(CrystalBatch.concatenate([crystal, mirrored(crystal)]))
    assert one == symmetric_cif(canonical(exact_symmetry(crystal))) and one != other


def test_what_is_symmetric_only_roughly_stays_as_it_is():
    made = canonical(random_crystal(62, np.random.default_rng(2))).to_primitive("x")
    rng = np.random.default_rng(0)
    rough = made.replace(
        frac_coords=made.frac_coords + 0.01 * rng.standard_normal((len(made.frac_coords), 3))
    )
    assert exact_symmetry(rough) is None and to_cif(rough) == rough.to_cif()
    assert conventional_cells(rough).num_atoms.tolist() == made.num_atoms.tolist()
    double = np.array([[0.0, 0, 0], [0, 0, 0.5]])
    supercell = CrystalBatch([26, 26], double, [[3.0, 3, 6]], [[90.0] * 3], [2], ["x"])
    assert exact_symmetry(supercell) is None and to_cif(supercell) == supercell.to_cif()


def test_what_cannot_be_written_is_named_as_before():
    open_type = CrystalBatch([0], [[0.0, 0, 0]], [[3.0, 3, 3]], [[90.0] * 3], [1], ["c7"])
    with pytest.raises(InputError, match="c7: the species of atom 1 is open"):
        to_cif(open_type)
    assert to_cif(CrystalBatch.empty()) == []


@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=3, max_size=3),
    st.lists(st.integers(0, 23), min_size=3, max_size=3),
)
def test_triplets_read_back(matrix, steps):
    text = write_triplet(np.array(matrix, dtype=float), np.array(steps) / 24)
    found, constant = parse_triplet(text)
    assert found.tolist() == matrix
    np.testing.assert_allclose(constant * 24, steps)


def test_operations_are_written_as_in_tables():
    assert write_triplet(np.eye(3), np.zeros(3)) == "x,y,z"
    turn = np.array([[0, -1, 0], [1, -1, 0], [0, 0, -1.0]])
    assert write_triplet(turn, np.array([0, -1 / 3, 1 / 4])) == "-y,x-y+2/3,-z+1/4"
