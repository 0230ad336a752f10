"""Elements, or a formula, and a space group: crystals have exactly both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm import FlowLLM
from flowllm.conditions.conditions import Conditions
from flowllm.conditions.request import Request
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.methods.templates.settings import RankedSettings, TemplateSettings
from flowllm.methods.templates.writing import is_astray
from flowllm.seeds import Stream, generator
from flowllm.symmetry.arrangements import can_have
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import find_symmetry
from flowllm.text.formats.wyckoff import strings

LIKELIEST = TemplateSettings(choice=0.0)


@pytest.fixture(scope="module")
def default() -> FlowLLM:
    return FlowLLM.from_pretrained(device="cpu")


def likeliest(default: FlowLLM, **asked) -> SymmetricCrystal:
    assert isinstance(default.prior, RankedPrior)
    found = default.prior.templates.open.invented(
        Conditions(**asked), LIKELIEST, generator(Stream.TEMPLATE, 0)
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("elements", "group", "formula"),
    [
        (("Na", "Cl"), 225, "NaCl"),
        (("Cs", "Cl"), 221, "CsCl"),
        (("Ca", "F"), 225, "CaF2"),
        (("Ti", "O"), 136, "TiO2"),
        (("Zn", "S"), 216, "ZnS"),
        (("Sr", "Ti", "O"), 221, "SrTiO3"),
        (("Mg", "Al", "O"), 227, "MgAl2O4"),
        (("Ga", "As"), 216, "GaAs"),
        (("Mg", "Cu"), 227, "MgCu2"),
        (("K", "Pt", "Cl"), 225, "K2PtCl6"),
    ],
)
def test_known_compounds_are_the_likeliest_of_their_group(default, elements, group, formula):
    crystal = likeliest(default, elements=elements, space_group=group)
    cell = crystal.to_primitive()
    assert cell.formulas == [formula]
    assert find_symmetry(cell, 0.01).number == group


@pytest.mark.parametrize(
    ("formula", "group", "atoms"),
    [("NaCl", 225, 2), ("NaCl", 221, 2), ("SrTiO3", 221, 5), ("SrTiO3", 62, 20), ("Si", 227, 2)],
)
def test_the_cell_of_a_formula_is_that_of_its_group(default, formula, group, atoms):
    crystal = likeliest(default, formula=formula, space_group=group)
    assert crystal.number == group and crystal.num_atoms == atoms


GROUPS = (2, 11, 14, 44, 62, 63, 82, 129, 139, 148, 164, 166, 186, 189, 194, 216, 221, 225, 227)
"""Of all seven crystal systems."""
COMMON = ("Li", "Na", "K", "Mg", "Ca", "Ba", "Y", "La", "Ti", "Zr", "Nb", "Mn", "Fe", "Co", "Ni",
          "Cu", "Zn", "Al", "Ga", "Si", "Ge", "P", "Sb", "O", "S", "Se", "F", "Cl")  # fmt: skip


@given(
    st.sampled_from(GROUPS),
    st.lists(st.sampled_from(COMMON), min_size=2, max_size=4, unique=True),
    st.integers(0, 1000),
)
@settings(max_examples=30, derandomize=True)
def test_the_group_asked_for_is_found_again_with_exactly_the_elements(
    default, group, elements, seed
):
    made = default.generate(1, elements=elements, space_group=group, seed=seed)
    assert set(made.refined.compositions[0]) == set(elements)
    assert find_symmetry(made.prior, 0.01).number == group
    assert find_symmetry(made.refined, 0.01).number == group


def test_the_number_of_atoms_is_left_to_templates_unless_it_is_asked_for(default):
    known = {"elements": ("Na", "Cl"), "space_group": 225}
    assert default.asked(Request(**known), 0, 0).num_atoms is None
    assert default.asked(Request(**known, num_atoms=4), 0, 0).num_atoms == 4
    assert default.asked(Request(space_group=225), 0, 0).num_atoms is not None
    assert default.asked(Request(elements=("Na", "Cl")), 0, 0).num_atoms is not None
    # 4 atoms of 4 elements on 4 positions without free coordinates
    made = default.generate(2, elements=("Li", "Mg", "Pd", "Sb"), space_group=216, num_atoms=4)
    assert set(made.refined.num_atoms.tolist()) == {4}
    assert {find_symmetry(crystal, 0.01).number for crystal in made.refined} == {216}


def test_where_no_template_is_the_text_keeps_to_the_group(default):
    """18 atoms in P42(1)2 have no template; nor do 5 elements in R-3m with 10 atoms."""
    rare = [
        Conditions(space_group=90, num_atoms=18),
        Conditions(space_group=166, elements=("Li", "Mg", "Ti", "O", "F"), num_atoms=10),
        Conditions(space_group=12, formation_energy=-2.0, num_atoms=6),
    ]
    choose = default.prior.templates.open.choose
    assert not any(map(choose, rare))
    made = default.prior.sample(rare, RankedSettings(), range(len(rare)))
    assert [find_symmetry(crystal, 0.01).number for crystal in made] == [90, 166, 12]
    assert set(made.compositions[1]) == set(rare[1].elements)


def test_texts_of_a_higher_symmetry_are_noticed():
    """Two atoms each on 8c and on 4a and 4b of Fm-3m are caesium chloride in a larger cell."""
    lengths, angles = np.full(3, 6.0), np.full(3, 90.0)
    coords = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]])
    doubled = SymmetricCrystal(
        225, lengths, angles, np.array([55, 55, 17]), ("a", "b", "c"), coords
    )
    text = strings.write(doubled)
    assert is_astray(text, Conditions(space_group=225))
    assert not is_astray(text, Conditions(space_group=221))
    assert not is_astray(text, Conditions()) and not is_astray(text, None)
    assert not can_have(225, (2, 2))


def test_cells_that_can_have_the_group_are_preferred():
    """Of NaCl two atoms, 6, 8, … can; four only as caesium chloride."""
    asked = Request(formula="NaCl", space_group=225)
    sizes = {
        sum((asked.of_crystal(i, 0, [1.0] * 20).composition or {}).values()) for i in range(100)
    }
    assert 2 in sizes and 4 not in sizes
