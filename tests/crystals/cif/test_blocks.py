"""Blocks of a text, and texts that are no CIF: one plain line, in time linear in their length."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cif import parse_cif, read_block, split_blocks
from flowllm.errors import InputError

from .writing import cif

SALT = cif("Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5", name="salt")
KCL = cif("K1 K 0 0 0\nCl1 Cl 0.5 0.5 0.5", name="kcl")
PAPER = (
    "data_global\n_journal_name_full 'none'\n_publ_section_title\n;\ndata_inside a text field\n;\n"
)


def names(text: str) -> list[str]:
    return [name for name, _ in split_blocks(text)]


def test_every_block_with_sites_is_found_in_order():
    assert names(SALT) == ["salt"]
    assert names(SALT + KCL + SALT) == ["salt", "kcl", "salt"]
    assert names("# a comment: data_no\n\n" + PAPER + SALT) == ["salt"]
    assert names(PAPER + "data_cell\n_cell_length_a 4\n") == ["cell"]
    for name, block in split_blocks(SALT + KCL):
        assert read_block(block).name == name


@pytest.mark.parametrize(
    "trap",
    [
        "_note\n;\ndata_trap\n_atom_site_fract_x 0\n;\n",
        "_note 'a quoted data_trap word'\n",
        "# data_trap\n",
        '_note "data_trap x"\n',
        "_note x # data_trap\n",
        "_note metadata_trap\n",
    ],
)
def test_data_inside_texts_quotes_and_comments_begins_no_block(trap):
    text = SALT.replace("_cell_length_a", trap + "_cell_length_a", 1)
    assert names(text + KCL) == ["salt", "kcl"]
    assert read_block(text).frac_coords.shape == (2, 3)


@pytest.mark.parametrize("ending", ["\0", "\x1a", "\0\0\n\x1a", "\n\n", "   ", "#END", ""])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_ends_and_line_breaks_do_not_matter(ending, newline):
    text = "\ufeff" + (SALT + PAPER + KCL + ending).replace("\n", newline)
    assert names(text) == ["salt", "kcl"]
    assert [read_block(block).atomic_numbers.tolist() for _, block in split_blocks(text)] == [
        [11, 17],
        [19, 17],
    ]


def test_dots_case_and_letters_of_other_languages_do_not_matter():
    text = SALT.replace("_atom_site_", "_Atom_Site.").replace("_cell_", "_CELL.")
    assert read_block(text).frac_coords.shape == (2, 3)
    text = SALT.replace("data_salt", "data_β-NaCl\n_publ_author 'Müller, Zoë' # é")
    assert names(text) == ["β-NaCl"] and read_block(text).frac_coords.shape == (2, 3)
    with pytest.raises(InputError, match="coordinate x"):
        read_block(SALT.replace("Cl 0.5", "Cl −0.5"))  # a minus sign of typography


def test_several_crystals_are_refused_where_one_is_expected():
    for read in (read_block, lambda text: parse_cif(text, "two")):
        with pytest.raises(InputError, match="2 crystals in one CIF text"):
            read(SALT + KCL)
    with pytest.raises(InputError, match="^b: 2 crystals"):
        CrystalBatch.from_cif([SALT, SALT + KCL], ["a", "b"])
    assert read_block(PAPER + SALT).name == "salt"
    assert CrystalBatch.from_cif([]).ids.tolist() == []


def test_a_tag_that_is_given_twice():
    same = SALT.replace("_cell_length_a 4.0\n", "_cell_length_a 4.0\n_cell_length_a 4.0\n")
    assert read_block(same).remarks == ("_cell_length_a is given twice",)
    other = SALT.replace("_cell_length_a 4.0\n", "_cell_length_a 4.0\n_Cell_Length_A 5.0\n")
    with pytest.raises(InputError, match="_cell_length_a is given twice: 4.0 and 5.0"):
        read_block(other)
    assert read_block(SALT.replace("_cell_length_a", "_x 1\n_x 2\n_cell_length_a")).remarks == ()


BROKEN = {
    "": "no data_ block",
    "once upon a time": "no data_ block",
    "\0\x01\x02": "no data_ block",
    "{}": "no data_ block",
    "data_x": "no unit cell",
    SALT.replace("data_salt\n", ""): "no data_ block",
    "_cell_length_a 4\n" + SALT: "before the first data_",
    SALT + "Cl2 Cl 0.5 0.5\n": "the loop of _atom_site_label has a wrong number of values",
    SALT.replace("'P 1'", "'P 1"): "line 8: a quote or text field is not closed",
    SALT + ";\nopen": "a quote or text field is not closed",
    SALT.replace(
        "_cell_length_a 4.0", "_cell_length_a 4.0 5.0"
    ): "line 2: '_cell_length_a 4.0 5.0'",
    SALT.split("loop_")[0]: "no atom sites",
    SALT.replace("0.5 0.5 0.5", "0.5 0.5\x07 0.5"): "line",
    SALT.replace("_atom_site_fract_y", "_atom_site_y"): "_atom_site_fract_y is missing",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_text_that_is_no_cif_is_refused_in_one_line_of_ours(text):
    with pytest.raises(InputError) as caught:
        read_block(text)
    message = str(caught.value)
    assert BROKEN[text] in message and "the CIF cannot be parsed" in message
    assert message.isprintable() and len(message) < 200 and "string:" not in message


MANY = 200_000
FLOODS = {
    "blank lines": SALT.replace("loop_", "\n" * MANY + "loop_"),
    "spaces": SALT.replace("loop_", " " * MANY + "\nloop_"),
    "blank lines in a text": SALT.replace("loop_", "_note\n;" + "\n" * MANY + ";\nloop_"),
    "quotes": SALT + "'" * MANY,
    "fields": SALT + "\n;" * MANY,
    "blocks": "data_x\n" * MANY,
    "headers in a line": "data_x " * MANY,
    "tags": SALT + "_x 1\n" * MANY,
    "loops": SALT + "loop_\n_x\n1\n" * (MANY // 4),
    "values": SALT + "loop_\n_x\n" + "1 " * MANY,
    "comments": SALT + "#\n" * MANY,
    "unclosed words": SALT + "'a data_b " * MANY,
    "operations": SALT + "loop_\n_symmetry_equiv_pos_as_xyz\n" + "x,y,z\n" * MANY,
    "a long word": SALT + "_x " + "a" * MANY,
    "a long formula": SALT + "_chemical_formula_sum '" + "Na" * MANY + "'\n",
    "a long symbol": SALT.replace("P 1", "P " * MANY),
    "a long operation": SALT + "loop_\n_symmetry_equiv_pos_as_xyz\n'" + "x+" * MANY + "y,z'\n",
    "a long number": SALT.replace("4.0", "4." + "0" * MANY),
    "a long label": SALT.replace("Na1", "Na" + "1" * MANY),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_time_is_linear_in_the_text(flood):
    start = time.process_time()
    try:
        for _, block in split_blocks(FLOODS[flood])[:3]:
            read_block(block)
    except InputError as error:
        assert str(error).isprintable() and len(str(error)) < 300
    assert time.process_time() - start < 5  # s; what is quadratic takes minutes


words = st.sampled_from(
    "data_ data_x loop_ save_ stop_ global_ _cell_length_a _cell_angle_beta _atom_site_label "
    "_atom_site_fract_x _atom_site_fract_y _atom_site_fract_z _atom_site_occupancy "
    "_symmetry_space_group_name_H-M 1 0.5 ? . -3 nan 1e400 'P 1' 'F m -3 m' x,y,z -x,-y,-z Na1 ; "
    "' \" # [ \0 é 9999999999".split(" ")
)


@settings(max_examples=400, deadline=None)
@given(
    cut=st.lists(st.tuples(st.floats(0, 1), words, st.sampled_from([" ", "\n"])), max_size=8),
    start=st.sampled_from([SALT, PAPER + SALT + KCL, ""]),
    drop=st.booleans(),
)
def test_mutated_texts_are_read_or_refused_in_one_line(cut, start, drop):
    tokens = start.split(" ") if drop else start.splitlines(keepends=True)
    for where, word, space in cut:
        place = int(where * len(tokens))
        tokens[place : place + drop] = [word + space]
    text = (" " if drop else "").join(tokens)
    try:
        for _, block in split_blocks(text):
            crystal = read_block(block)
            assert len(crystal.frac_coords) == len(crystal.atomic_numbers) >= 1
    except InputError as error:
        assert str(error).isprintable() and len(str(error)) < 300
