"""Formulas and lists of elements as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from flowllm.conditions.formula import (
    multiple_remark,
    multiples_of,
    read_composition,
    read_elements,
    read_formula,
    reduced_formula,
    whole_composition,
)
from flowllm.conditions.remarks import RemarkWarning
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError


@pytest.mark.parametrize(
    ("formula", "unit"),
    [
        ("SrTiO3", {"Sr": 1, "Ti": 1, "O": 3}),
        (" Sr2Ti2O6 ", {"Sr": 1, "Ti": 1, "O": 3}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("O2", {"O": 1}),
        ("Fe", {"Fe": 1}),
        ("D2O", {"H": 2, "O": 1}),  # an isotope is its element
        ("HDO", {"H": 2, "O": 1}),  # and counts with it
    ],
)
def test_formulas_are_reduced(formula, unit):
    assert read_formula(formula) == unit


@pytest.mark.filterwarnings("ignore:No Pauling electronegativity", "ignore:the formula")
@given(st.dictionaries(st.sampled_from(SYMBOLS[1:104]), st.integers(1, 9), min_size=1, max_size=4))
def test_reading_agrees_with_pymatgen(composition):
    written = "".join(f"{s}{n}" for s, n in composition.items())
    read = read_formula(written)
    assert Composition(read).reduced_formula == Composition(composition).reduced_formula
    assert reduced_formula(written) == Composition(composition).reduced_formula


@pytest.mark.parametrize(
    ("formula", "said"),
    [("Xx2O3", "Xx2O3"), ("", "formula"), ("Fe0.5O", "0.5 atoms of Fe"), ("SrTi(O3", "SrTi"),
     ("123", "123")],
)  # fmt: skip
def test_bad_formulas_are_named(formula, said):
    with pytest.raises(InputError) as caught:
        read_formula(formula)
    assert said in str(caught.value)


def test_multiples_fill_the_cell_and_no_more():
    sizes = [sum(c.values()) for c in multiples_of("SrTiO3", 20)]
    assert sizes == [5, 10, 15, 20]
    assert multiples_of("NaCl", max_atoms=3) == ({"Na": 1, "Cl": 1},)
    with pytest.raises(InputError, match="'Ca5P3HO13' has 22 atoms"):
        multiples_of("Ca5P3HO13", 20)


def test_lists_of_elements():
    with pytest.warns(RemarkWarning, match="holds Li twice"):
        assert read_elements(" Li,Fe ,O,Li,") == ("Li", "Fe", "O")
    assert read_elements("Li Fe;O") == read_elements("Li-Fe-O") == ("Li", "Fe", "O")
    for text, said in (
        (" , ", "empty"),
        ("Li,Qq", "'Qq'"),
        ("li", "'li'; did you mean Li"),
        ("Li,FE", "'FE'; did you mean Fe"),
        ("LiFeO2", "did you mean Li,Fe,O"),
        ("Li, " * 10**6, "not a list of elements"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            read_elements(text)
        assert len(str(caught.value)) < 300


def test_isotopes_are_hydrogen_and_it_is_said():
    with pytest.warns(RemarkWarning, match=r"D \(deuterium\) is read as H") as caught:
        assert read_elements("Li,D,O") == ("Li", "H", "O")
        assert read_composition("Li1 D1") == {"Li": 1, "H": 1}
        assert read_composition("H1 D1 O1") == {"H": 2, "O": 1}
        assert whole_composition({"H": 1, "D": 1, "O": 1}) == {"H": 2, "O": 1}
        assert reduced_formula("NaAlD4") == "NaAlH4"
    assert len(caught) == 5 and {w.filename for w in caught} == {__file__}
    with pytest.warns(RemarkWarning, match="T .tritium. is read as H"):
        assert reduced_formula("LiT") == "LiH"


def test_a_unit_cell_may_have_blanks_anywhere_and_no_element_twice():
    for text in ("Ti1Sr O3", "Sr Ti O 3", "O3TiSr", "Sr1 Ti1 O3"):
        assert read_composition(text) == {"Sr": 1, "Ti": 1, "O": 3}
    assert read_composition("(NH4)2 SO4") == {"N": 2, "H": 8, "S": 1, "O": 4}
    for text, said in (
        ("Sr1 Ti1 Sr2", "Sr appears twice"),
        ("SrTiO3 (cubic)", "'cubic' is not part"),
        ("2NaCl", "ask for NaCl"),
        ("sr1 ti1 o3", "did you mean Sr1 Ti1 O3"),
        ("Sr0.5", "whole numbers only"),
    ):
        with pytest.raises(InputError, match=said):
            read_composition(text)
    for counts in ({"Na": float("nan")}, {"Na": float("inf")}, {"Na": "2"}, {"Na": None}):
        with pytest.raises(InputError, match="whole number of Na atoms"):
            whole_composition(counts)


def test_what_is_reduced_is_said_with_the_sizes_of_cells():
    with pytest.warns(RemarkWarning, match="Sr2Ti2O6 is reduced to SrTiO3: cells have 5, 10, 15"):
        reduced_formula("Sr2Ti2O6")
    with pytest.warns(RemarkWarning, match="C60 is reduced to C: cells have 1, 2, 3"):
        reduced_formula("C60")
    assert multiple_remark("H2O2", 20) == (
        "the formula H2O2 is HO reduced: cells have 2, 4, …, 20 atoms"
    )
    assert multiple_remark("SrTiO3", 20) == multiple_remark("Sr(", 20) == ""
