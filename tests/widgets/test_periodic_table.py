"""PeriodicTable: each element in its place, shares as counted, a choice that all tables share."""

import ipywidgets
import numpy as np
import pytest
from pymatgen.core import Element

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError
from flowllm_widgets import PeriodicTable
from flowllm_widgets.periodic_table.data import frequencies, log_scale, places
from flowllm_widgets.periodic_table.picker import ElementPicker
from flowllm_widgets.periodic_table.widget import DATA

SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4.0,) * 3], [(60,) * 3], [2], ["NaCl"]
)
SETS = {
    "salts": CrystalBatch.concatenate(
        [SALT.replace(ids=["a"]), SALT.replace(ids=["b"], atomic_numbers=[11, 35])]
    ),
    "one": SALT,
}


def test_elements_stand_in_the_groups_and_periods_of_pymatgen():
    found = {one["symbol"]: (one["row"], one["column"]) for one in places()}
    assert len(set(found.values())) == len(SYMBOLS) - 1
    for symbol, (row, column) in found.items():
        element = Element(symbol)
        if row < 8:
            assert (row, column) == (element.row, element.group), symbol
        else:
            assert element.is_lanthanoid or element.is_actinoid, symbol
            assert row == (9 if element.is_lanthanoid else 10)
    assert sum(row > 8 for row, _ in found.values()) == 30


def test_shares_are_counted_by_crystal():
    assert frequencies(SETS["salts"]) == {"Na": 1.0, "Cl": 0.5, "Br": 0.5}
    assert frequencies(SALT.replace(atomic_numbers=[0, 17])) == {"Cl": 1.0}
    with pytest.raises(InputError, match="no crystals"):
        frequencies(CrystalBatch.empty())


@pytest.mark.parametrize(
    ("shares", "ends"),
    [
        ([0.5, 1.0], (0.1, 1)),
        ([0.1], (0.01, 0.1)),
        ([0.004, 0.17], (0.001, 0.2)),
        ([0.00004, 0.27], (0.001, 0.5)),
        ([], (0.001, 1)),
    ],
)
def test_the_scale_holds_the_shares_but_for_the_rarest(shares, ends):
    assert log_scale([dict(enumerate(shares))]) == pytest.approx(ends)


def test_a_choice_is_kept_in_order_and_can_be_observed():
    table, seen = PeriodicTable(["O", "Li"]), []
    table.observe(lambda change: seen.append(change["new"]), "selected")
    assert table.selected == ("Li", "O") and table.tables[0].selected == ["Li", "O"]
    table.tables[0].selected = ["Li", "O", "Fe"]  # as the page does
    assert table.selected == ("Li", "O", "Fe") and seen == [("Li", "O", "Fe")]
    assert "Li, O, Fe" in table._said.value
    with pytest.raises(InputError, match="'Xx' is not an element"):
        table.selected = ("Xx",)


def test_tables_of_several_sets_share_choice_and_scale():
    table = PeriodicTable(sets=SETS)
    first, second = table.tables
    assert first.shares["Br"] == 0.5 and "Br" not in second.shares
    assert first.scale == second.scale == pytest.approx([0.1, 1.0])
    assert first.heading == "salts: 2 crystals" and first.colour != second.colour
    second.selected = ["Br"]
    assert first.selected == ["Br"] and "one: Br 0 %" in table._said.value


def test_a_run_stands_beside_mp20():
    table = PeriodicTable.of_run(SETS["salts"])
    known = load_shipped("mp_20", "train").crystals
    oxides = np.mean(["O" in one for one in known.compositions])
    assert list(table.shares) == ["crystals", DATA]
    assert table.shares[DATA]["O"] == pytest.approx(oxides)
    assert set(table.shares[DATA]) == {SYMBOLS[n] for n in known.atomic_numbers}


def test_elements_that_are_not_allowed_and_too_many_sets_are_named():
    assert PeriodicTable(allowed=["O", "H"]).tables[0].allowed == ["H", "O"]
    with pytest.raises(InputError, match="at most 9"):
        PeriodicTable(sets={str(n): SALT for n in range(10)})


def test_a_picker_writes_into_its_field_and_follows_it():
    field = ipywidgets.Text("Li, O")
    picker = ElementPicker(field)
    assert picker.table is None  # folded, nothing is made
    picker.selected_index = 0
    assert picker.table.selected == ["Li", "O"]
    picker.table.selected = ["Li", "O", "Fe"]
    assert field.value == "Li, O, Fe"
    field.value = "Na Cl Xx"
    assert picker.table.selected == ["Na", "Cl"] and field.value == "Na Cl Xx"
    picker.table.selected = []
    assert field.value == ""
