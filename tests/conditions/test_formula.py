"""Formulas and lists of elements as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from flowllm.conditions.formula import multiples_of, read_elements, read_formula, reduced_formula
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
    ],
)
def test_formulas_are_reduced(formula, unit):
    assert read_formula(formula) == unit


@pytest.mark.filterwarnings("ignore:No Pauling electronegativity")
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
    assert read_elements(" Li,Fe ,O,Li,") == ("Li", "Fe", "O")
    for text, said in ((" , ", "empty"), ("Li,Qq", "'Qq'"), ("li", "'li'")):
        with pytest.raises(InputError, match=said):
            read_elements(text)
