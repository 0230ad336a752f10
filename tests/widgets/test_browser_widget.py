from __future__ import annotations

import numpy as np
import pytest

from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm_widgets.browser.widget import UNASKED, CrystalBrowser
from tests.widgets.reports import spread_report, textbook


def shown(browser):
    return browser.after.crystal.ids[0] if browser.after.crystal is not None else None


@pytest.fixture
def browser():
    made = CrystalBrowser(spread_report("ours"))
    assert made.wait(60)
    yield made
    made.close()


def columns(browser):
    return [column["name"] for column in browser.table.view["columns"]]


def test_the_first_crystal_is_shown_and_the_next_follows_the_choice(browser):
    assert shown(browser) == "c000000"
    browser.table.move(1)
    assert shown(browser) == "c000001"
    assert "c000001 · " in browser.after.caption.value
    assert browser.before not in browser.children[-4].children  # nothing is known of it


def test_only_columns_that_hold_something_are_shown(browser):
    assert columns(browser)[:5] == ["id", "formula", "elements", "num_atoms", "e_above_hull"]
    assert "sun" not in columns(browser)
    picky = CrystalBrowser(spread_report("ours"), columns=["id", "e_above_hull"])
    assert columns(picky) == ["id", "e_above_hull"]
    with pytest.raises(InputError, match="no column ehull"):
        CrystalBrowser(spread_report("ours"), columns=["ehull"])


def test_filters_narrow_the_table(browser):
    browser.filters.elements.value = "Ti, O"
    formulas = browser.table.rows["formula"].iloc[browser.table.order]
    assert len(formulas) and all("Ti" in f and "O" in f for f in formulas)
    browser.filters.column.value = "e_above_hull"
    browser.filters.range.value = (browser.filters.range.min, 0.2)
    energies = browser.table.rows["e_above_hull"].iloc[browser.table.order]
    assert len(energies) and (energies <= 0.2).all()
    browser.filters.clear.click()
    assert len(browser.table.order) == 40


def test_an_unfinished_element_is_named_and_the_list_stays(browser):
    browser.filters.elements.value = "Ti"
    listed = browser.table.order.tolist()
    browser.filters.elements.value = "Ti, X"
    assert "'X'" in browser.message.text and browser.table.order.tolist() == listed
    browser.filters.elements.value = "Ti, O"
    assert browser.message.text == "" and browser.table.order.tolist() != listed


def test_missing_columns_are_computed_beside(browser):
    assert browser.catalogue.missing == ()
    groups = browser.table.rows["space_group"]
    assert set(groups) == {221, 225} and "space_group" in columns(browser)
    browser.filters.group.value = 221
    assert (browser.table.rows["num_atoms"].iloc[browser.table.order] == 5).all()
    assert browser._progress.text == ""


def test_for_many_crystals_they_are_computed_on_request():
    many = textbook(UNASKED + 1)
    browser = CrystalBrowser(many)
    assert browser.wait(0) and browser.catalogue.missing
    assert browser.compute.layout.display == ""
    browser.close()


def test_picks_are_gathered_listed_and_dropped(browser):
    browser.picker.pick.click()
    browser.table.move(3)
    browser.picker.pick.click()
    browser.picker.pick.click()  # twice is once
    assert browser.picks.ids.tolist() == ["c000000", "c000003"]
    assert [value for _, value in browser.picker.list.options] == [0, 3]
    assert browser.picker.export.description == "Export 2 picks"
    browser.picker.list.value = 0
    assert shown(browser) == "c000000"
    browser.picker.drop.click()
    assert browser.picks.ids.tolist() == ["c000003"]
    browser.filters.elements.value = "Ti"
    browser.picker.pick_all.click()
    assert len(browser.picks) == 1 + len(browser.table.order) - (3 in browser.table.order)
    browser.picker.drop_all.click()
    assert len(browser.picks) == 0 and browser.picker.export.disabled


def test_picks_are_written_and_the_place_is_said(browser, tmp_path):
    browser.filters.elements.value = "Ti"
    browser.picker.pick_all.click()
    browser.picker.folder.value = str(tmp_path / "out")
    browser.picker.format.value = "cif"
    browser.picker.export.click()
    assert browser.wait(60)
    assert (
        str(tmp_path / "out") in browser.picker.exported.text and browser.picker.exported.kind == ""
    )
    assert len(read_inputs(tmp_path / "out")) == len(browser.picks)
    browser.picker.export.click()  # it is there now
    assert browser.wait(60)
    assert "not empty" in browser.picker.exported.text and browser.picker.exported.kind == "error"


def test_before_and_after_stand_side_by_side():
    after = textbook(3)
    before = after.replace(lengths=1.1 * after.lengths)
    browser = CrystalBrowser(after, trajectory=Trajectory.from_frames([0.0, 1.0], [before, after]))
    browser.table.selected = 2
    assert browser.before in browser.children[-4].children
    assert np.allclose(browser.before.crystal.lengths, 1.1 * browser.after.crystal.lengths)
    assert "before refinement" in browser.before.caption.value
    browser.close()


def test_a_row_that_could_not_be_read_says_why_and_cannot_be_picked():
    report = spread_report("ours", num=4)
    report.rows.loc[1, "id"] = "broken"
    report.rows["reason"] = ["", "no such element", "", ""]
    browser = CrystalBrowser(report)
    browser.table.selected = 1
    assert shown(browser) is None and "no such element" in browser.after.caption.value
    browser.picker.pick.click()
    assert len(browser.picks) == 0
    browser.table.toggle(1)
    assert len(browser.picks) == 0  # ticked by hand, it still has no crystal
    browser.close()


def test_of_many_rows_only_one_page_travels_to_the_browser():
    report = spread_report("many", num=2000)
    browser = CrystalBrowser(report)
    assert len(browser.table.view["rows"]) == 10 and browser.table.view["total"] == 2000
    browser.close()
