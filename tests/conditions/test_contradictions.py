"""Conditions against each other: both are named, with what to change; real ones never clash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.contradictions import check_together, contradictions
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.teaching.textbook import textbook_structures
from flowllm.text.prompts import STEMS

KNOWN = textbook_structures()
STO = {"Sr": 1, "Ti": 1, "O": 3}


@pytest.mark.parametrize(
    ("asked", "culprit", "said"),
    [
        ({"formula": "SrTiO3", "num_atoms": 7}, "num_atoms",
         ["formula SrTiO3 has 5, 10, 15 or 20 atoms", "number of atoms 7"]),
        ({"formula": "Si", "num_atoms": 20, "composition": {"Si": 3}}, "num_atoms",
         ["unit cell Si3 has 3 atoms", "number of atoms 20"]),
        ({"formula": "SrTiO3", "elements": ("Sr", "O")}, "elements",
         ["formula SrTiO3 holds Sr, Ti, O", "elements Sr, O"]),
        ({"formula": "SrTiO3", "composition": {"Sr": 1, "O": 1}}, "composition",
         ["unit cell Sr1 O1", "not a multiple of formula SrTiO3"]),
        ({"composition": STO, "elements": ("Sr",)}, "elements",
         ["unit cell Sr1 Ti1 O3 holds Sr, Ti, O", "elements Sr"]),
        ({"composition": STO, "num_atoms": 10}, "num_atoms",
         ["unit cell Sr1 Ti1 O3 has 5 atoms", "number of atoms 10"]),
        ({"elements": ("Li", "Fe", "O"), "num_atoms": 2}, "num_atoms",
         ["3 elements", "2 atoms", "at least 3"]),
        ({"elements": tuple(SYMBOLS[1:23])}, "elements", ["22 elements", "20 atoms"]),
        ({"space_group": 19, "num_atoms": 6}, "space_group",
         ["space group 19", "4, 8, 12, 16 or 20 atoms", "number of atoms 6"]),
        ({"space_group": 229, "composition": {"Na": 2}}, "space_group",
         ["space group 229", "unit cell Na2"]),
        ({"space_group": 225, "formula": "LiBeB", "num_atoms": 3}, "space_group",
         ["space group 225", "formula LiBeB", "3 atoms"]),
        ({"space_group": 230, "elements": ("Li", "Be", "B", "C")}, "space_group",
         ["space group 230", "elements Li, Be, B, C"]),
        ({"space_group": 19, "elements": ("Li", "Be", "B"), "num_atoms": 8}, "space_group",
         ["space group 19", "elements Li, Be, B", "12, 16 or 20 atoms", "number of atoms 8"]),
    ],
)  # fmt: skip
def test_both_sides_are_named_and_what_to_change(asked, culprit, said):
    conditions = Conditions(**asked)
    found = contradictions(conditions, 20)
    assert set(found) == {culprit}
    for words in (*said, "leave one of them out" if "change" in found[culprit] else "fewer"):
        assert words in found[culprit]
    with pytest.raises(InputError) as caught:
        check_together(conditions, 20)
    assert str(caught.value) == found[culprit]


@given(
    st.integers(0, len(KNOWN) - 1),
    st.sets(st.sampled_from(sorted(STEMS))),
    st.floats(-5, 5),
)
def test_conditions_of_one_crystal_never_contradict_each_other(place, names, energy):
    cell = KNOWN.crystals.compositions[place]
    every = Conditions(
        formula=KNOWN.reduced_formulas[place],
        composition=cell,
        elements=tuple(reversed(cell)),
        num_atoms=sum(cell.values()),
        space_group=int(KNOWN.properties["space_group"][place]),
        formation_energy=energy,
        e_above_hull=abs(energy),
        band_gap=abs(energy),
    )
    assert contradictions(every.only(names), 20) == {}


@given(st.integers(0, len(KNOWN) - 1), st.integers(1, 20))
def test_a_number_of_atoms_that_the_formula_cannot_have_is_always_found(place, count):
    formula = KNOWN.reduced_formulas[place]
    unit = round(Composition(formula).num_atoms)
    found = contradictions(Conditions(formula=formula, num_atoms=count), 20)
    assert (not found) == (count % unit == 0)


def test_a_formula_that_cannot_be_read_is_said_so():
    found = contradictions(Conditions(formula="Xx2O"), 20)
    assert set(found) == {"formula"} and "unknown element 'Xx'" in found["formula"]


@pytest.mark.parametrize(
    ("asked", "culprit", "said"),
    [
        ({"formula": "Li7La3Zr2O12"}, "formula", "24 atoms; a cell holds at most"),
        ({"composition": {"Si": 24}}, "composition", "unit cell Si24 has 24 atoms"),
        ({"num_atoms": 24}, "num_atoms", "number of atoms 24; a cell holds at most"),
    ],
)
def test_what_is_too_large_depends_on_the_system_and_its_data(asked, culprit, said):
    conditions = Conditions(**asked)
    for limit in (20, 23):
        found = contradictions(conditions, limit)
        assert set(found) == {culprit} and said in found[culprit]
        assert f"at most {limit} atoms" in found[culprit] and "--max-atoms" in found[culprit]
    assert contradictions(conditions, 24) == {} and contradictions(conditions, 52) == {}


def test_a_space_group_may_have_no_cell_so_small():
    assert "at most 3 atoms" in contradictions(Conditions(space_group=19), 3)["space_group"]
    assert contradictions(Conditions(space_group=19), 4) == {}
