"""Symmetric texts: what is written, what is read, and what each wrong text is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.text.formats.base import HasEquivalents, TextError
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.notes import site_symmetries
from flowllm.text.formats.wyckoff.text_format import WyckoffText

RUTILE = "136\nTi 2a\nO 4f\n4.6 3.0\n0.31"
PEROVSKITE = "221\nSr 1a\nTi 1b\nO 3c\n3.9"
MONOCLINIC = "14\nZr 4e\nO 4e\nO 4e\n5.2 5.2 5.3 99\n0.28 0.04 0.21\n0.07 0.33 0.34\n0.45 0.76 0.48"
TEXTS = (RUTILE, PEROVSKITE, MONOCLINIC)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_and_written_alike(text):
    assert strings.write(strings.read(text)) == text


def test_what_the_lines_mean():
    crystal = strings.read(RUTILE)
    assert crystal.number == 136 and crystal.letters == ("a", "f")
    assert crystal.elements.tolist() == [22, 8]
    assert crystal.lengths.tolist() == [4.6, 4.6, 3.0] and crystal.angles.tolist() == [90] * 3
    np.testing.assert_allclose(crystal.coords, [[0, 0, 0], [0.31, 0.31, 0]])
    read = WyckoffText().parse_text(RUTILE, "TiO2")
    assert read.compositions == [{"Ti": 2, "O": 4}] and read.ids.tolist() == ["TiO2"]


@pytest.mark.parametrize(
    ("number", "position", "cell"),
    [
        (1, "1a", "4.0 5.0 6.0 81 82 83"), (14, "2a", "4.0 5.0 6.0 99"), (62, "4a", "4.0 5.0 6.0"),
        (136, "2a", "4.0 5.0"), (166, "3a", "4.0 5.0"), (194, "2c", "4.0 5.0"), (225, "4a", "4.0"),
    ],
)  # fmt: skip
def test_each_family_writes_its_free_parameters(number, position, cell):
    coords = "\n0.00 0.00 0.00" if number == 1 else ""
    text = f"{number}\nSi {position}\n{cell}{coords}"
    assert strings.write(strings.read(text)) == text


def test_trigonal_groups_have_hexagonal_axes():
    assert strings.read("166\nBi 3a\n4.5 11.8").angles.tolist() == [90, 90, 120]
    hexagonal = strings.read("194\nMg 2c\n3.2 5.2")
    assert hexagonal.angles.tolist() == [90, 90, 120]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (RUTILE, "", ["the text is empty"]),
        (RUTILE, "\n \n", ["the text is empty"]),
        (RUTILE, "136", ["no orbit follows the space group"]),
        ("136\n", "", ["line 1", "'Ti 2a' is not a space group number (1 to 230)"]),
        ("136", "0", ["line 1", "'0' is not a space group"]),
        ("136", "231", ["line 1", "'231' is not a space group"]),
        ("136", "-136", ["line 1", "'-136' is not a space group"]),
        ("136", "P42/mnm", ["line 1", "'P42/mnm' is not a space group"]),
        ("136", "١٣٦", ["line 1", "is not a space group"]),
        ("Ti", "Tx", ["line 2", "expected an element and a Wyckoff position, got 'Tx 2a'"]),
        ("Ti 2a", "Ti", ["line 2", "expected an element and a Wyckoff position, got 'Ti'"]),
        ("2a", "3a", ["line 2", "space group 136 has no position '3a'"]),
        ("4f", "4z", ["line 3", "space group 136 has no position '4z'"]),
        ("4f", "f", ["line 3", "space group 136 has no position 'f'"]),
        ("O 4f", "O 2a", ["2a", "used twice"]),
        ("4.6 3.0\n0.31", "", ["the cell is missing"]),
        ("4.6 3.0", "4.6", ["the tetragonal cell", "1 numbers instead of 2"]),
        ("4.6 3.0", "4.6 4.6 3.0", ["the tetragonal cell", "3 numbers instead of 2"]),
        ("4.6 3.0", "4.6 3,0", ["the tetragonal cell", "'3,0' is not a number"]),
        ("4.6 3.0", "4.6 nan", ["the tetragonal cell", "'nan' is not a number"]),
        ("4.6 3.0", "4.6 0.1", ["a length of [4.6, 4.6, 0.1] Å is not physical"]),
        ("4.6 3.0", "4.6 200.0", ["a length", "not physical"]),
        ("\n0.31", "", ["coordinates of position 4f are missing"]),
        ("0.31", "0.31 0.31", ["line 5", "2 numbers instead of 1"]),
        ("0.31", "x", ["line 5", "'x' is not a number"]),
        ("0.31", "9" * 400, ["line 5", "is not a number"]),
        ("0.31", "0.31\n0.50", ["line 6", "'0.50' comes after the end"]),
        (RUTILE, MONOCLINIC.replace("99", "180"), ["an angle", "not physical"]),
        (RUTILE, MONOCLINIC.replace("99", "178"), ["the cell is flat"]),
        (RUTILE, "1\nH 1a\n3.0 3.0 3.0 120 120 120\n0 0 0", ["the cell is flat"]),
    ],
)
def test_errors_name_the_place(old, new, said):
    text = RUTILE.replace(old, new, 1)
    assert text != RUTILE
    with pytest.raises(TextError) as caught:
        WyckoffText().parse_text(text, "my text")
    for part in ("my text", *said):
        assert part in str(caught.value)


def test_a_cell_that_is_too_large_is_refused():
    text = "225\nCs 48g\nI 48h\n15.0\n0.11\n0.12"
    with pytest.raises(TextError, match="my text: 24 atoms, more than 20"):
        WyckoffText().parse_text(text, "my text")
    assert WyckoffText(24).parse_text(text).num_atoms[0] == 24


@given(st.text("0123456789. \nabfTiOSr-", max_size=60))
def test_any_text_is_a_crystal_or_a_text_error(text):
    try:
        crystal = WyckoffText().parse_text(text)
    except TextError:
        return
    assert crystal.num_atoms[0] >= 1 and crystal.volumes[0] > 0


@given(
    st.sampled_from(TEXTS),
    st.integers(0, 60),
    st.integers(0, 8),
    st.text("0123. \nabT-", max_size=4),
)
def test_a_damaged_text_is_a_crystal_or_a_text_error(text, start, cut, put):
    try:
        crystal = WyckoffText().parse_text(text[:start] + put + text[start + cut :])
    except TextError:
        return
    assert crystal.num_atoms[0] >= 1 and crystal.volumes[0] > 0


def test_orbits_stand_by_electronegativity_then_letter():
    shuffled = "221\nO 3c\nTi 1b\nSr 1a\n3.9"
    assert strings.write(strings.read(shuffled)) == PEROVSKITE


def test_orbits_of_one_element_change_places_by_the_numbers_of_their_atoms():
    chosen = WyckoffText()
    crystal = chosen.parse_text(MONOCLINIC)
    usual = chosen.to_text(crystal)[0]
    oxygen = np.flatnonzero(crystal.atomic_numbers == 8)
    keys = np.zeros(len(crystal.atomic_numbers))
    keys[oxygen[:2]] = [1.0, 0.0]  # those of the first atoms go to the orbits
    turned = chosen.to_text(crystal, keys)[0]
    lines, others = usual.split("\n"), turned.split("\n")
    assert others[:-2] == lines[:-2] and others[-2:] == lines[:-3:-1]
    keys[oxygen[:2]] = [0.0, 1.0]
    assert chosen.to_text(crystal, keys) == [usual]


def test_equivalent_texts_are_of_one_crystal(reduced):
    chosen = WyckoffText()
    assert isinstance(chosen, HasEquivalents)
    few = reduced[:12]
    texts = chosen.to_text(few)
    several = 0
    for crystal, text, row in zip(few, texts, chosen.equivalent_texts(few), strict=True):
        assert text in row and len(row) == len(set(row))
        several += len(row) > 1
        for other in row:
            assert chosen.parse_text(other).compositions == crystal.compositions
    assert several >= 6


def test_many_crystals_are_written_as_each_alone(reduced, monkeypatch):
    from flowllm.text.formats.wyckoff import text_format

    few = reduced[:30]
    alone = [WyckoffText().to_text(crystal)[0] for crystal in few]
    monkeypatch.setattr(text_format, "MANY", 20)
    assert WyckoffText().to_text(few) == alone
    assert WyckoffText().to_text(CrystalBatch.empty()) == []


def test_an_open_type_has_no_text(strontium_titanate):
    numbers = strontium_titanate.atomic_numbers.copy()
    numbers[0] = 0
    with pytest.raises(InputError, match="open type"):
        WyckoffText().to_text(strontium_titanate.replace(atomic_numbers=numbers))


def test_words_of_positions_have_a_site_symmetry():
    assert site_symmetries(["221", "\nO", " 3c", "\n3", ".9"]) == ["", "", "4/mm.m", "", ""]
    for words in ([], ["\n3", ".9", " 3c"], ["231", " 3c"], ["0", " 1a"], ["٣", " 1a"], ["9" * 50]):
        assert not any(site_symmetries(words))
