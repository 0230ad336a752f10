"""Energies above the hull: known answers, another solver, and the data's own figures."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from flowllm.data.hull import FormationEnergyHull
from flowllm.data.hull_entries import parse_formula, read_formation_energies
from flowllm.errors import InputError

SMALL = FormationEnergyHull(["NaCl", "Na2Cl", "NaCl3", "NaCl", "NaCl9"], [-2.0, -1.0, -0.9, -1, 3])


def test_known_answers_on_a_binary_hull():
    assert SMALL.hull_energy({"Na": 1}) == 0.0
    assert SMALL.hull_energy({"Na": 4, "Cl": 4}) == pytest.approx(-2.0)
    # Na2Cl at -1.0 lies above the tie line from Na (0) to NaCl (-2): 2/3 * -2
    assert SMALL.hull_energy({"Na": 2, "Cl": 1}) == pytest.approx(-4 / 3)
    assert SMALL.e_above_hull({"Na": 2, "Cl": 1}, -1.0) == pytest.approx(1 / 3)
    assert SMALL.e_above_hull({"Cl": 2}, 0.25) == pytest.approx(0.25)


def test_what_lies_below_the_hull_counts_as_on_it_but_its_distance_is_known():
    assert SMALL.e_above_hull({"Na": 1, "Cl": 1}, -2.5) == 0.0
    assert SMALL.distance_to_hull({"Na": 1, "Cl": 1}, -2.5) == pytest.approx(-0.5)


ELEMENTS = ["Li", "Fe", "P", "O"]


@given(
    st.lists(st.tuples(*[st.integers(0, 4)] * 4, st.floats(-3, 1)), min_size=1, max_size=25),
    st.tuples(*[st.integers(1, 5)] * 4),
)
@settings(max_examples=60)
def test_any_quaternary_hull_equals_scipys_linear_program(entries, target):
    entries = [(row[:4], row[4]) for row in entries if sum(row[:4])]
    formulas = [
        "".join(f"{e}{n}" for e, n in zip(ELEMENTS, row, strict=True) if n) for row, _ in entries
    ]
    hull = FormationEnergyHull(formulas, [energy for _, energy in entries])
    columns = np.array([*np.eye(4), *(np.array(row) / sum(row) for row, _ in entries)]).T
    costs = np.array([0.0] * 4 + [energy for _, energy in entries])
    expected = linprog(costs, A_eq=columns, b_eq=np.array(target) / sum(target)).fun
    composition = dict(zip(ELEMENTS, target, strict=True))
    assert hull.hull_energy(composition) == pytest.approx(expected, abs=1e-7)


def test_real_energies_agree_with_those_of_the_materials_project(data_dir):
    # their own energies above the hull are of the time of these entries
    hull = FormationEnergyHull.from_csv(data_dir / "hull" / "mp_formation_energies.csv.gz")
    columns = ["pretty_formula", "formation_energy_per_atom", "e_above_hull", "structure_exact"]
    table = pd.read_csv(data_dir / "mp_20" / "test.csv.gz", usecols=columns).dropna()
    table = table[table.structure_exact].iloc[::10]
    ours = np.array(
        [
            hull.e_above_hull(parse_formula(formula), energy)
            for formula, energy in zip(
                table.pretty_formula, table.formation_energy_per_atom, strict=True
            )
        ]
    )
    assert len(table) > 700
    assert np.abs(ours - table.e_above_hull).mean() < 0.003  # measured on all rows: 0.0017
    stable = (ours < 1e-6) == (table.e_above_hull.to_numpy() < 1e-6)
    assert stable.mean() > 0.93  # measured: 0.96
    # a hull of fewer compounds cannot lie lower, so energies above it cannot be larger
    assert (ours <= table.e_above_hull.to_numpy() + 0.05).mean() > 0.98


@pytest.mark.parametrize(
    ("formula", "amounts"),
    [
        ("Nd(Al2Cu)4", {"Nd": 1, "Al": 8, "Cu": 4}),
        ("SrTiO3", {"Sr": 1, "Ti": 1, "O": 3}),
        ("Mg(B(OH)4)2", {"Mg": 1, "B": 2, "O": 8, "H": 8}),
        ("HOH", {"H": 2, "O": 1}),
        ("Fe0.5Ni0.5", {"Fe": 0.5, "Ni": 0.5}),
        ("NaN", {"Na": 1, "N": 1}),
    ],
)
def test_formulas(formula, amounts):
    assert parse_formula(formula) == amounts


@pytest.mark.parametrize("formula", ["", "Na(Cl", "NaCl)2", "na", "Na Cl", "2NaCl", "Xx2O3", "()"])
def test_what_is_no_formula_is_named(formula):
    with pytest.raises(InputError, match=r"not a chemical formula|is not an element"):
        parse_formula(formula)


def test_input_that_cannot_be_used():
    with pytest.raises(InputError, match=r"the formation energy of LiF is nan, not a number"):
        FormationEnergyHull(["NaCl", "LiF"], [-1.0, float("nan")])
    with pytest.raises(InputError, match=r"2 formulas and 1 energies"):
        FormationEnergyHull(["NaCl", "LiF"], [-1.0])
    with pytest.raises(InputError, match=r"no composition"):
        SMALL.hull_energy({})
    with pytest.raises(InputError, match=r"Xx is not an element"):
        SMALL.hull_energy({"Xx": 1})


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*none.csv.gz"):
        FormationEnergyHull.from_csv(tmp_path / "none.csv.gz")
    (tmp_path / "right.csv").write_text("formula,formation_energy_per_atom\nNaN,-0.1\nKF,-2\n")
    formulas, energies = read_formation_energies(tmp_path / "right.csv")
    assert formulas == ["NaN", "KF"] and energies.tolist() == [-0.1, -2.0]
    (tmp_path / "hull.csv").write_text("formula,energy\nNaCl,-1\n")
    with pytest.raises(InputError, match=r"hull.csv is not a table of formulas"):
        FormationEnergyHull.from_csv(tmp_path / "hull.csv")
