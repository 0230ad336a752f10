"""What databases and refinement programs write beside the letter of CIF."""

import numpy as np
import pytest

from flowllm.crystals.cif import read_block, split_blocks
from flowllm.errors import InputError

from .writing import cif

XYZ = "fract_x fract_y fract_z"
BRUCITE = "Mg 0 0 0\nOH1 .33333 .66667 .22\nHO1 .33333 .66667 .413"
MAGNETITE = "FeT .125 .125 .125\nFeM .5 .5 .5\nO .2547 .2547 .2547"
HEXAGONAL = (3.142, 3.142, 4.766, 90.0, 90.0, 120.0)
CUBIC = (8.3958, 8.3958, 8.3958, 90.0, 90.0, 90.0)


def mineral(sites, formula, symbol, cell):
    """As the American Mineralogist's database writes it: labels, no types."""
    head = f"_chemical_formula_sum '{formula}'\n_symmetry_space_group_name_H-M '{symbol}'"
    return cif(sites, cell, head, f"label {XYZ}", "global")


@pytest.mark.parametrize(
    ("text", "elements", "atoms"),
    [
        (mineral(BRUCITE, "Mg O2 H2", "P -3 m 1", HEXAGONAL), ["Mg", "O", "H"], 5),
        (mineral(MAGNETITE, "Fe3 O4", "F d -3 m :2", CUBIC), ["Fe", "Fe", "O"], 56),
        (mineral(MAGNETITE, "Fe3 O4", "F d -3 m", CUBIC), ["Fe", "Fe", "O"], 56),
        (mineral("OW 0 0 0\nOA2 .3 0 0", "O", "P 1", CUBIC), ["O", "O"], 2),
    ],
)
def test_labels_of_minerals_are_read_where_the_formula_counts_every_atom(text, elements, atoms):
    crystal = read_block(text)
    assert [site.element for site in crystal.sites] == elements
    assert len(crystal.frac_coords) == atoms
    assert "first letters of the labels, as the formula says" in " ".join(crystal.remarks)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (mineral(BRUCITE, "?", "P -3 m 1", HEXAGONAL), "OH1"),
        (mineral(BRUCITE, "Mg O2", "P -3 m 1", HEXAGONAL), "HO1"),
        (mineral(BRUCITE.partition("\nHO1")[0], "Mg O2 H2", "P -3 m 1", HEXAGONAL), "OH1"),
        (mineral(MAGNETITE, "Fe2 O4", "F d -3 m :2", CUBIC), "FeT"),
        (mineral("Wat 0 0 0", "O", "P 1", CUBIC), "Wat"),
        (mineral("CAM 0 0 0\nO1 .3 0 0\nC1 0 .3 0", "C Ca O", "P 1", CUBIC), "CAM"),
        (mineral("H2O 0 0 0\nO1 .3 0 0", "H O", "P 1", CUBIC), "H2O"),
    ],
)
def test_a_label_that_the_formula_does_not_settle_is_refused_by_name(text, label):
    with pytest.raises(InputError, match=f"^site {label}: the label does not name an element"):
        read_block(text)


GROUPS = f"label type_symbol {XYZ} occupancy disorder_assembly disorder_group"
METHYL = "C1 C 0 0 0 1 . .\nH1 H .2 0 0 1 A 1\nH2 H 0 .2 0 1 A 2"


def test_alternatives_with_full_occupancy_are_refused_unless_the_formula_counts_them():
    with pytest.raises(InputError, match=r"disorder groups: H1 \(1\), H2 \(2\); keep one group"):
        read_block(cif(METHYL, columns=GROUPS))
    with pytest.raises(InputError, match="disorder groups"):
        read_block(cif(METHYL, head="_chemical_formula_sum 'C H'", columns=GROUPS))
    without = "\n".join(" ".join(row.split()[:5] + row.split()[7:]) for row in METHYL.split("\n"))
    with pytest.raises(InputError, match="disorder groups"):
        read_block(cif(without, columns=f"label type_symbol {XYZ} disorder_group"))
    counted = read_block(cif(METHYL, head="_chemical_formula_sum 'C H2'", columns=GROUPS))
    assert len(counted.frac_coords) == 3
    assert any("H1 (1), H2 (2)" in remark for remark in counted.remarks)


@pytest.mark.parametrize("group", ["A 1", "B 2", ". .", "A ?"])
def test_one_group_of_an_assembly_is_no_alternative(group):
    crystal = read_block(cif(METHYL.replace("A 2", group), columns=GROUPS))
    assert len(crystal.frac_coords) == 3 and not crystal.remarks


def test_parts_of_one_atom_in_two_groups_are_one_atom():
    rows = METHYL.replace("A 1", ". .").replace("1 A 2", ".6 A 1") + "\nH3 H 0 .2 0 .4 A 2"
    crystal = read_block(cif(rows, columns=GROUPS))
    assert np.allclose(crystal.frac_coords, [(0, 0, 0), (0.2, 0, 0), (0, 0.2, 0)])


def test_letters_of_other_languages_are_shown_as_written():
    crystal = read_block(cif("Na\u03b1 Na 0 0 0\nO1\u2032 O .5 .5 .5", name="\u03b2-Phase"))
    assert [site.label for site in crystal.sites] == ["Na\u03b1", "O1\u2032"]
    assert crystal.name == "\u03b2-Phase"
    with pytest.raises(InputError, match="_cell_length_a is '4.0\u00c5', which is not a number"):
        read_block(cif("Na1 Na 0 0 0").replace("length_a 4.0", "length_a 4.0\u00c5"))


def test_a_text_field_that_is_never_closed_is_named():
    text = cif("Na1 Na 0 0 0").replace("_cell_length_a", "_publ_section\n;cut\n_cell_length_a")
    with pytest.raises(InputError, match="the text field that begins in line 3 is not closed"):
        split_blocks(text)
