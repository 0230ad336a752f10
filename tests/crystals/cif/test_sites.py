"""Cells, elements, coordinates and occupancies: read strictly, or refused by name."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cif import closest, parse_cif, read_block
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError

from .writing import CUBE, cif

XYZ = "fract_x fract_y fract_z"
TYPES = {
    "Na": "Na",
    "Na1+": "Na",
    "Na+": "Na",
    "Na+1": "Na",
    "O2-": "O",
    "Fe2.5+": "Fe",
    "Fe0": "Fe",
    "NA": "Na",
    "na1+": "Na",
    "D": "H",
    "D1+": "H",
    "T": "H",
    "'Cl1-'": "Cl",
}
LABELS = {
    "Ho1": "Ho",
    "Fe1A": "Fe",
    "O1'": "O",
    "C(2)": "C",
    "Na": "Na",
    "Na_2": "Na",
    "O1W": "O",
    "LI1": "Li",
    "ZN2": "Zn",
    "N1": "N",
    "D3": "H",
    "Cl1-": "Cl",
    "Mg++": "Mg",
    "O--": "O",
    '"C1\'"': "C",
}


@pytest.mark.parametrize("kind", TYPES)
def test_type_symbols(kind):
    crystal = read_block(cif(f"X1 {kind} 0 0 0"))
    assert [site.element for site in crystal.sites] == [TYPES[kind]]
    isotope = kind[0] in "DT"
    assert ("read as H" in " ".join(crystal.remarks)) == isotope


@pytest.mark.parametrize("label", LABELS)
def test_labels_where_there_are_no_type_symbols(label):
    for columns, row in (
        ("label", label),
        ("label type_symbol", f"{label} ?"),
        ("type_symbol label", f". {label}"),
    ):
        crystal = read_block(cif(f"{row} 0 0 0", columns=f"{columns} {XYZ}"))
        assert [site.element for site in crystal.sites] == [LABELS[label]]


@pytest.mark.parametrize("symbol", SYMBOLS[1:])
def test_every_element_is_known_by_type_and_by_label(symbol):
    for row, columns in ((f"{symbol}1", "label"), (f"A {symbol}3+", "label type_symbol")):
        crystal = read_block(cif(f"{row} 0 0 0", columns=f"{columns} {XYZ}"))
        assert SYMBOLS[int(crystal.atomic_numbers[0])] == symbol


@pytest.mark.parametrize(
    "kind",
    [
        "OH",
        "13C",
        "2H",
        "H2O",
        "NH4",
        "Va",
        "Vac",
        "Wat",
        "X",
        "M",
        "CN",
        "HO",
        "CO",
        "Fe,Ni",
        "Q1",
        "Na2Cl",
    ],
)
def test_a_type_symbol_that_is_no_element_is_refused_with_label_and_symbol(kind):
    with pytest.raises(InputError, match=f"site Q7: {kind} is not an element"):
        read_block(cif(f"Na1 Na 0 0 0\nQ7 {kind} 0.5 0.5 0.5"))


@pytest.mark.parametrize(
    "label",
    [
        "OH1",
        "HO1",
        "13C",
        "Va1",
        "Vac",
        "Wat",
        "H2O",
        "H3O",
        "NH4",
        "OW1",
        "HA",
        "CO3",
        "NO3",
        "SO4",
        "M1",
        "CU1",
        "1",
        "(Na)",
        "OH",
        "Ow2",
        "D2O",
        "PO4",
        "N2O",
    ],
)
def test_a_label_that_may_mean_something_else_is_refused_by_name(label):
    with pytest.raises(
        InputError,
        match=f"site {label.replace('(', '.').replace(')', '.')}: the label does not name",
    ):
        read_block(cif(f"Na1 0 0 0\n{label} 0.5 0.5 0.5", columns=f"label {XYZ}"))


def test_the_formula_decides_what_letters_of_one_case_mean():
    text = cif(
        "CU1 0 0 0\nO1 0.5 0.5 0.5", head="_chemical_formula_sum 'Cu O'", columns=f"label {XYZ}"
    )
    crystal = read_block(text)
    assert crystal.atomic_numbers.tolist() == [29, 8]
    with pytest.raises(InputError, match="site CU1"):
        read_block(text.replace("'Cu O'", "'C U O'"))


def test_dummies_are_left_out_and_said_and_nothing_else_ever_is():
    columns = f"label type_symbol {XYZ} calc_flag"
    rows = "Na1 Na 0 0 0 d\nX1 X 0.5 0.5 0.5 dum\nX2 ? ? ? ? dum\nCl1 Cl 0.5 0.5 0 ."
    crystal = read_block(cif(rows, columns=columns))
    assert [site.label for site in crystal.sites] == ["Na1", "Cl1"]
    assert crystal.remarks == ("X1, X2 are marked as dummy and left out",)
    with pytest.raises(InputError, match="site X1: X is not an element"):
        read_block(cif(rows.replace("dum\nX2", "d\nX2"), columns=columns))
    columns = f"label type_symbol {XYZ} attached_hydrogens"
    assert len(read_block(cif("O1 O 0 0 0 0", columns=columns)).sites) == 1
    with pytest.raises(InputError, match="site O1: 2 attached hydrogens"):
        read_block(cif("O1 O 0 0 0 2", columns=columns))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("?", "unknown"),
        (".", "unknown"),
        ("a", "'a'"),
        ("nan", "'nan'"),
        ("inf", "'inf'"),
        ("1e9", "1e.09"),
        ("1_0", "'1_0'"),
        ("1/3", "'1/3'"),
    ],
)
def test_a_coordinate_that_is_no_number_is_refused_with_its_label(raw, why):
    with pytest.raises(InputError, match=f"site Cl1.*coordinate y is {why}"):
        read_block(cif(f"Na1 Na 0 0 0\nCl1 Cl 0.5 {raw} 0.5"))


@pytest.mark.parametrize(
    "raw", ["0.2500(3)", "0.25", ".25", "+0.25", "2.5e-1", "'0.25'", "0.25(12)"]
)
def test_numbers_as_cif_writes_them(raw):
    crystal = read_block(
        cif(f"Na1 Na {raw} 0 0").replace("_cell_length_b 4.0", "_cell_length_b 4.0(2)")
    )
    assert crystal.frac_coords[0].tolist() == [0.25, 0, 0] and crystal.lengths[1] == 4


LENGTH = "_cell_length_b 4.0\n"
CELLS = {
    "": "_cell_length_b is missing",
    "_cell_length_b ?\n": "_cell_length_b is unknown",
    "_cell_length_b .\n": "_cell_length_b is unknown",
    "_cell_length_b 0\n": "_cell_length_b is 0 Å",
    "_cell_length_b -4\n": "length or angle is negative: _cell_length_b is -4",
    "_cell_length_b four\n": "_cell_length_b is 'four', which is not a number",
    "_cell_length_b 1e300\n": "_cell_length_b is 1e.300 Å",
    "_cell_length_b nan\n": "'nan', which is not a number",
    "loop_\n_cell_length_b\n4.0\n5.0\n": "_cell_length_b has 2 values",
}


@pytest.mark.parametrize("line", CELLS)
def test_a_length_that_is_not_there_is_refused_by_its_name(line):
    with pytest.raises(InputError, match=CELLS[line]):
        read_block(cif("Na1 Na 0 0 0").replace(LENGTH, line))


def test_a_dot_means_90_degrees_and_a_question_mark_nothing():
    text = cif("Na1 Na 0 0 0")
    crystal = read_block(text.replace("angle_beta 90.0", "angle_beta ."))
    assert crystal.angles.tolist() == [90, 90, 90]
    assert crystal.remarks == ("_cell_angle_beta is not given, read as 90°",)
    with pytest.raises(InputError, match="_cell_angle_beta is unknown"):
        read_block(text.replace("angle_beta 90.0", "angle_beta ?"))


@pytest.mark.parametrize("angles", [(60.0, 60.0, 120.0), (30.0, 30.0, 120.0)])
def test_a_cell_without_volume_is_refused_or_left_as_it_is(angles):
    text = cif("Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5", (4.0, 4.0, 4.0, *angles))
    with pytest.raises(InputError, match="the cell has no volume: .*angles"):
        read_block(text)
    assert read_block(text, flat_cells=True).angles.tolist() == list(angles)


OCCUPANCIES = {
    "1": True,
    "1.0": True,
    ".": True,
    "1.00(2)": True,
    "0.995": True,
    "1.01": True,
    "0.97(4)": True,
    "0.99": True,
}
PARTIAL = {"0.98": "0.98", "0.5(5)": "0.5", "1.2": "1.2", "0": "0", "0.97(2)": "0.97"}


@pytest.mark.parametrize("raw", OCCUPANCIES)
def test_occupancies_within_their_uncertainty_or_a_hundredth_of_1_are_1(raw):
    crystal = read_block(cif(f"Na1 Na 0 0 0 {raw}", columns=f"label type_symbol {XYZ} occupancy"))
    exact = raw in ("1", "1.0", ".", "1.00(2)")
    assert crystal.remarks == (() if exact else (f"occupancies read as 1: Na1 {raw}",))


@pytest.mark.parametrize("raw", [*PARTIAL, "?", "x"])
def test_other_occupancies_are_refused_with_the_label(raw):
    pattern = (
        rf"partial occupancy of Na1 \({PARTIAL[raw]}\).*ordered"
        if raw in PARTIAL
        else "site Na1: the occupancy"
    )
    with pytest.raises(InputError, match=pattern):
        read_block(cif(f"Na1 Na 0 0 0 {raw}", columns=f"label type_symbol {XYZ} occupancy"))


def test_parts_of_one_element_on_one_place_are_one_atom():
    rows = "Fe1 Fe2+ 0 0 0 0.33\nFe2 Fe3+ 0 0 0 0.67\nO1 O 0.5 0.5 0.5 1"
    crystal = read_block(cif(rows, columns=f"label type_symbol {XYZ} occupancy"))
    assert crystal.atomic_numbers.tolist() == [26, 8] and len(crystal.sites) == 3
    assert crystal.sites[0].atoms == crystal.sites[1].atoms == (0,)
    assert "one atom: Fe1 + Fe2" in crystal.remarks[0]
    with pytest.raises(InputError, match=r"partial occupancy of Fe1 \(0.33\), Fe2 \(0.67\)"):
        read_block(cif(rows.replace("Fe3+", "Ni2+"), columns=f"label type_symbol {XYZ} occupancy"))


def test_what_the_file_says_of_its_atoms_is_compared_with_them():
    head = "_chemical_formula_sum 'H2 Mg O2'\n_cell_formula_units_Z 1\n_space_group_IT_number 1"
    crystal = read_block(cif("Mg1 Mg 0 0 0\nO1 O 0.5 0.5 0.5", head=head))
    assert crystal.remarks == (
        "_chemical_formula_sum is 'H2 Mg O2' and Z = 1, the atoms of the cell are Mg1 O1",
    )
    columns = f"label type_symbol {XYZ} symmetry_multiplicity"
    crystal = read_block(cif("Mg1 Mg 0 0 0 4", columns=columns))
    assert crystal.remarks == ("other multiplicities: Mg1 has 1, the file says 4",)
    bare = read_block(cif("Mg1 Mg 0 0 0", head=""))
    assert bare.remarks == ("no space group is given; read as P 1",)


@pytest.mark.parametrize(("x", "distance"), [("0.05", 0.2), ("0.98", 0.08), ("0.13", None)])
def test_atoms_on_each_other_are_remarked_on(x, distance):
    crystal = read_block(cif(f"Na1 Na 0 0 0\nNa2 Na {x} 0 0\nO1 O 0.5 0.5 0.5"))
    found = closest(crystal)
    if distance is None:
        assert crystal.remarks == () and found == (float("inf"), -1, -1)
    else:
        assert crystal.remarks == (f"overlapping atoms Na1 and Na2 at {distance:.2f} Å",)
        assert found == (pytest.approx(distance), 0, 1)


@settings(max_examples=60, deadline=None)
@given(
    coords=hnp.arrays(
        float, st.tuples(st.integers(2, 55), st.just(3)), elements=st.floats(-1, 1, width=32)
    ),
    cell=st.tuples(*[st.floats(0.6, 9)] * 3, *[st.floats(55, 120)] * 3),
)
def test_the_closest_pair_is_that_of_all_pairs_and_images(coords, cell):
    alpha, beta, gamma = np.cos(np.radians(cell[3:]))
    squared = 1 - alpha**2 - beta**2 - gamma**2 + 2 * alpha * beta * gamma
    if squared < 0.05:
        return
    text = cif(
        "\n".join(f"A{i} Na {x!r} {y!r} {z!r}" for i, (x, y, z) in enumerate(coords.tolist())), cell
    )
    crystal = read_block(text)
    import gemmi

    matrix = np.array(gemmi.UnitCell(*cell).orth.mat.tolist())
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    delta = coords[:, None] - coords[None, :]
    delta = (delta - np.round(delta))[:, :, None, :] + shifts
    lengths = np.linalg.norm(delta @ matrix.T, axis=-1)
    lengths[np.arange(len(coords)), np.arange(len(coords)), len(shifts) // 2] = np.inf
    expected = lengths.min()
    distance = closest(crystal)[0]
    if expected < 0.399:
        assert distance == pytest.approx(expected, abs=1e-5)
    elif expected > 0.401:
        assert distance == np.inf


counts = st.integers(1, 12)


@settings(max_examples=80, deadline=None)
@given(size=counts, seed=st.integers(0, 2**32 - 1))
def test_a_crystal_survives_its_own_cif(size, seed):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(1, 100, size)
    batch = CrystalBatch(
        numbers,
        rng.random((size, 3)),
        2 + 9 * rng.random((1, 3)),
        60 + 50 * rng.random((1, 3)),
        [size],
        ["a"],
    )
    if batch.volumes[0] < 1:
        return
    crystal = read_block(batch.to_cif()[0])
    back = CrystalBatch.from_cif(batch.to_cif(), ["a"])
    assert sorted(crystal.atomic_numbers) == sorted(numbers)
    order, other = np.lexsort(batch.frac_coords.T), np.lexsort(back.frac_coords.T)
    np.testing.assert_allclose(back.frac_coords[other], batch.frac_coords[order], atol=1e-7)
    np.testing.assert_allclose(back.lengths, batch.lengths, atol=1e-7)
    np.testing.assert_allclose(back.angles, batch.angles, atol=1e-7)
    structure = parse_cif(batch.to_cif()[0], "a")
    assert [site.specie.symbol for site in structure] == [site.element for site in crystal.sites]


ROWS = "\n".join(
    f"Na{i} Na {x:.5f} {y:.5f} {z:.5f}"
    for i, (x, y, z) in enumerate(np.random.default_rng(0).random((10_000, 3)))
)
LARGE = {
    "random": (ROWS, "label type_symbol", 19_000),
    "one place": ("Na1 Na 0.1 0.2 0.3\n" * 10_000, "label type_symbol", 2),
    "one special place": ("Na1 Na 0 0 0\n" * 10_000, "label type_symbol", 1),
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_cells_take_time_near_linear_in_their_atoms(kind):
    rows, columns, least = LARGE[kind]
    head = "_symmetry_space_group_name_H-M 'P -1'"
    start = time.process_time()
    crystal = read_block(cif(rows, (60.0,) * 3 + (90.0,) * 3, head, f"{columns} {XYZ}"))
    assert time.process_time() - start < 10  # s; what is quadratic takes minutes
    assert len(crystal.sites) == 10_000
    assert least <= len(crystal.frac_coords) <= 20_000
    assert {len(site.atoms) for site in crystal.sites} <= {1, 2}


def test_columns_of_another_length_are_refused():
    text = cif("Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5") + "loop_\n_atom_site_occupancy\n0.5\n"
    with pytest.raises(InputError, match="_atom_site_occupancy has 1 values for 2 sites"):
        read_block(text)


def test_too_many_atoms_are_refused_before_they_are_made():
    rows = "\n".join(f"Na{i} Na {i / 1000:.3f} 0.1 0.2" for i in range(200))
    head = "_symmetry_space_group_name_H-M 'F m -3 m'"
    with pytest.raises(
        InputError, match="200 sites and 192 symmetry operations make up to 38400 atoms"
    ):
        read_block(cif(rows, (90.0,) * 6, head))
    with pytest.raises(InputError, match="20001 atom sites; at most 20000"):
        read_block(cif("Na1 Na 0 0 0\n" * 20_001, CUBE))
    heap = read_block(cif("Na1 Na 0 0 0\n" * 20_000, CUBE))
    assert "overlapping atoms Na1 and Na1 at 0.00 Å" in heap.remarks
