"""Files of the kinds that people have, with what is right for each (see the README beside them)."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import spglib

from flowllm.crystals.cells import lattice_matrices
from flowllm.crystals.cif import CifCrystal, closest, read_block, split_blocks
from flowllm.errors import InputError

CASES = Path(__file__).parents[2] / "inputs" / "cases"


def read(case: str) -> list[CifCrystal]:
    text = next(CASES.glob(case)).read_text()
    return [read_block(block) for _, block in split_blocks(text)]


def group(crystal: CifCrystal) -> int:
    lattice = lattice_matrices(crystal.lengths[None], crystal.angles[None])[0]
    cell = (lattice, crystal.frac_coords, crystal.atomic_numbers)
    return spglib.get_symmetry_dataset(cell, symprec=0.01).number


def formula(crystal: CifCrystal) -> str:
    counts: Counter[str] = Counter()
    seen = set()
    for site in crystal.sites:
        if site.atoms not in seen:
            counts[site.element] += len(site.atoms)
        seen.add(site.atoms)
    return " ".join(f"{symbol}{counts[symbol]}" for symbol in sorted(counts))


RIGHT = {  # file -> atoms of the cell, space group, shortest distance in Å, a remark
    "01_*/p1_0.9999.cif": ("Cl4 Na4", 225, 2.82, "read as 1: Na1 0.9999"),
    "01_*/p1_1.0001.cif": ("Cl4 Na4", 225, 2.82, "read as 1: Na1 1.0001"),
    "01_*/sym_1.005.cif": ("Cl4 Na4", 225, 2.82, "read as 1: Na1 1.005(3)"),
    "02_*/exact.cif": ("O2 Zn2", 186, 1.974, ""),
    "02_*/digits3.cif": ("O2 Zn2", 186, 1.974, ""),
    "02_*/digits2.cif": ("O2 Zn2", 186, 1.977, ""),
    "03x_dot_values/occupancy_dot_sym.cif": ("Cl4 Na4", 225, 2.82, ""),
    "03x_missing_cell_tag/no_angles.cif": ("Cl4 Na4", 225, 2.82, "_cell_angle_beta is not given"),
    "05_*/hm.cif": ("Cl4 Na4", 225, 2.82, ""),
    "05_*/hall.cif": ("Cl4 Na4", 225, 2.82, ""),
    "05_*/lower.cif": ("Cl4 Na4", 225, 2.82, ""),
    "06_*/choice1.cif": ("Si8", 227, 2.352, ""),
    "06_*/choice2.cif": ("Si8", 227, 2.352, ""),
    "06_*/no_suffix.cif": ("Si8", 227, 2.352, "F d -3 m:2 is read"),
    "06_*/text_field.cif": ("Si8", 227, 2.352, ""),
    "07_*/hex_H.cif": ("C6 Ca6 O18", 167, 1.281, ""),
    "07_*/rhomb_R.cif": ("C2 Ca2 O6", 167, 1.281, ""),
    "09_*/duplicate_tag.cif": ("Cl4 Na4", 225, 2.82, "_cell_length_a is given twice"),
    "14_*/hidden.cif": ("Al4 As4 Ga4", 216, 0.0, "Ga1 and Al1 are two elements on one place"),
    "15_*/mnf2.mcif": ("F4 Mn2", 136, 2.063, ""),
    "16_*/with_cell.cif": ("Cl4 Na4", 225, 2.82, "only Cartesian coordinates"),
    "31_*/wc.cif": ("C1 W1", 187, 2.197, ""),
    "31_*/ybo.cif": ("O1 Yb1", 225, 2.44, ""),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_file_is_read_as_the_crystal_it_means(case):
    atoms, number, distance, remark = RIGHT[case]
    (crystal,) = read(case)
    assert formula(crystal) == atoms
    assert len(crystal.frac_coords) == len(crystal.atomic_numbers)
    assert group(crystal) == number
    assert closest(crystal, cutoff=3.0)[0] == pytest.approx(distance, abs=0.005)
    if remark:
        assert any(remark in said for said in crystal.remarks), crystal.remarks
    else:
        assert crystal.remarks == ()


REFUSED = {
    "03x_dot_values/coordinate_dot.cif": "site Cl1: the coordinate z is unknown",
    "03x_missing_cell_tag/a_unknown.cif": "_cell_length_a is unknown",
    "03x_missing_cell_tag/no_c.cif": "_cell_length_c is missing",
    "05_*/contradiction.cif": "'F m -3 m' contradict each other: 2 or 8 atoms",
    "05_*/p1_and_225.cif": "'P 1' and the space-group number 225 contradict each other",
    "08_*/wrong.cif": "the space-group symbol 'P 4 2 7' is unknown",
    "09_*/no_header.cif": "no data_ block",
    "12_*/ho_label.cif": "site OH1: the label does not name an element",
    "12_*/type_H2O.cif": "site A1: H2O is not an element",
    "12_*/type_OH.cif": "site A1: OH is not an element",
    "12_*/va.cif": "site Va1: Va is not an element",
    "12_*/water.cif": "site Wat1: Wat is not an element",
    "14_*/alloy.cif": "partial occupancy of Ga1 (0.6), Al1 (0.4); .*OrderDisordered",
    "16_*/no_cell.cif": "no unit cell",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_read_rightly_is_refused_by_name(case):
    pattern = REFUSED[case].replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(InputError, match=pattern) as caught:
        read(case)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("case", "names"), [("two", ["first", "second"]), ("same_name", ["image0"] * 2)]
)
def test_every_block_of_a_file_is_a_crystal(case, names):
    first, second = read(f"09_*/{case}.cif")
    assert [first.name, second.name] == names
    assert [formula(first), formula(second)] == ["Cl4 Na4", "Cl4 K4"]
    assert second.lengths.tolist() == [6.29] * 3


def test_every_case_file_is_tested():
    tested = {path for case in [*RIGHT, *REFUSED] for path in CASES.glob(case)}
    tested |= {CASES / "09_blocks" / name for name in ("two.cif", "same_name.cif")}
    here = {path.parts[-2] for path in tested}
    files = {path for path in CASES.rglob("*cif") if path.parts[-2] in here}
    assert len(files) >= 39 and files == tested


def test_rounded_positions_give_the_crystal_of_the_exact_ones():
    exact, rounded = read("02_*/exact.cif")[0], read("02_*/digits3.cif")[0]
    assert [site.atoms for site in rounded.sites] == [(0, 1), (2, 3)]
    delta = exact.frac_coords - rounded.frac_coords
    assert np.abs(delta - np.round(delta)).max() < 0.0007  # what rounding z to 0.382 leaves
