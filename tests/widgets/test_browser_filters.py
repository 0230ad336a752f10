from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.errors import InputError
from flowllm_widgets.browser.catalogue import read_catalogue
from flowllm_widgets.browser.controls import FilterControls
from flowllm_widgets.browser.filters import Filter, flags_of, groups_of, numbers_of, range_of
from flowllm_widgets.shared.messages import MessageLine
from tests.widgets.reports import spread_report, textbook


@pytest.fixture(scope="module")
def found():
    report = spread_report("ours")
    report.rows["space_group"] = np.where(report.rows["num_atoms"] == 5, 221, 225)
    return read_catalogue(report)


def chosen(found, **wish):
    return found.rows["id"][Filter(**wish).mask(found)].tolist()


def test_without_a_wish_every_row_stays(found):
    assert Filter().mask(found).all()
    assert Filter(text="  ", elements=" , ").mask(found).all()


def test_text_is_part_of_id_formula_or_elements_in_any_case(found):
    assert chosen(found, text="C000007") == ["c000007"]
    assert all("Ti" in formula for formula in found.rows["formula"][Filter("ti").mask(found)])
    assert Filter(text="mgo").mask(found).any()
    assert not Filter(text="(").mask(found).any()  # no pattern, a text


@pytest.mark.parametrize("text", ["Ti, O", "O Ti", "ti-o".title(), "Ti;O,"])
def test_all_named_elements_must_be_in_the_crystal(found, text):
    kept = Filter(elements=text).mask(found)
    assert kept.any()
    for formula, row in zip(found.rows["formula"], kept, strict=True):
        assert row == ("Ti" in formula and "O" in formula)


def test_an_unknown_element_is_named(found):
    with pytest.raises(InputError, match="Xx"):
        Filter(elements="Li, Xx").mask(found)


def test_flags_are_true_false_or_not_known(found):
    novel, other = Filter(flag="novel_relaxed"), Filter(flag="not novel_relaxed")
    known = found.rows["novel_relaxed"].notna().to_numpy()
    assert not (novel.mask(found) & other.mask(found)).any()
    assert ((novel.mask(found) | other.mask(found)) == known).all()


@given(st.floats(-0.2, 0.8), st.floats(-0.2, 0.8))
def test_a_range_keeps_values_in_it_and_drops_rows_without_one(found, one, other):
    low, high = sorted((one, other))
    kept = found.rows["e_above_hull"][Filter(column="e_above_hull", low=low, high=high).mask(found)]
    assert kept.notna().all() and kept.between(low, high).all()
    everything = found.rows["e_above_hull"]
    assert len(kept) == everything.between(low, high).sum()


def test_wishes_add_up(found):
    both = Filter(elements="Ti", space_group=221, flag="valid_composition").mask(found)
    parts = [Filter(elements="Ti"), Filter(space_group=221), Filter(flag="valid_composition")]
    assert (both == np.logical_and.reduce([part.mask(found) for part in parts])).all()
    assert both.any() and not both.all()


def test_lists_offer_what_there_is(found):
    assert flags_of(found) == [
        "readable", "valid_structure", "valid_composition", "unique_relaxed", "novel_relaxed"
    ]  # fmt: skip
    assert "density" in numbers_of(found) and "e_above_hull" in numbers_of(found)
    assert "readable" not in numbers_of(found) and "space_group" not in numbers_of(found)
    assert [number for _, number in groups_of(found)] == [221, 225]
    assert groups_of(found)[0][0] == "Pm-3m (221): 13"
    assert groups_of(read_catalogue(textbook(2))) == []
    low, high = range_of(found, "e_above_hull")
    assert low == pytest.approx(-0.08) and high == pytest.approx(0.68, abs=2e-3)


def test_space_groups_are_listed_by_the_symbol_that_people_read(found):
    screws = replace(
        found, rows=found.rows.assign(space_group=[4, 0] + [194] * (len(found.rows) - 2))
    )
    assert [text for text, _ in groups_of(screws)] == [
        "none found: 1", "P2₁ (4): 1", f"P6₃/mmc (194): {len(found.rows) - 2}"
    ]  # fmt: skip


@pytest.fixture
def controls(found):
    calls = []
    made = FilterControls(found, {"density": "ρ"}, lambda: calls.append(made.value), MessageLine())
    made.calls = calls
    return made


def test_each_change_of_a_control_tells_once_what_is_asked(controls):
    controls.elements.value = "Ti"
    controls.column.value = "e_above_hull"
    assert len(controls.calls) == 2
    assert controls.calls[-1] == Filter(elements="Ti", column="e_above_hull")
    low, high = controls.range.min, controls.range.max
    controls.range.value = (low, 0.3)
    assert controls.calls[-1].high == 0.3 and controls.calls[-1].low == -np.inf
    controls.column.value = "density"
    assert controls.calls[-1].high == np.inf and controls.range.max != high


def test_clearing_asks_nothing_again_and_tells_once(controls):
    controls.text.value, controls.flag.value = "Na", "valid_structure"
    controls.group.value = 225
    before = len(controls.calls)
    controls.clear.click()
    assert len(controls.calls) == before + 1 and controls.calls[-1] == Filter()


def test_new_columns_are_offered_and_the_choice_stays(found):
    controls = FilterControls(read_catalogue(textbook(6)), {}, lambda: None, MessageLine())
    assert controls.group.options == (("all", -1),)
    controls.column.value = "density"
    more = controls._catalogue.with_columns({"space_group": np.array([225, 225, 221] * 2)})
    controls.offer(more)
    assert len(controls.group.options) == 3
    assert controls.column.value == "density" and controls.value.space_group is None
