from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.viz.facts import group_in_words
from flowllm_widgets.browser.table import CrystalTable, column_texts, is_number
from flowllm_widgets.shared.messages import MessageLine

ROWS = pd.DataFrame(
    {
        "id": [str(number) for number in range(25)],
        "energy": [np.nan if number % 7 == 3 else (number * 11 % 25) / 10 for number in range(25)],
        "flag": pd.array([None if n % 5 == 0 else n % 2 == 0 for n in range(25)], dtype="boolean"),
        "group": pd.array([n % 3 for n in range(25)], dtype="Int64"),
    }
)


@pytest.fixture
def table():
    return CrystalTable(ROWS, message=MessageLine(), pickable=True)


def tell(table, what, value=None):
    table._told(table, {"do": what, "with": value, "number": table.answered + 1}, [])


def listed(table):
    return [row["place"] for row in table.view["rows"]]


def test_one_page_travels_and_the_rest_stays(table):
    assert listed(table) == list(range(10)) and table.view["total"] == 25
    tell(table, "page", 1)
    assert listed(table) == list(range(10, 20))
    tell(table, "page", 99)
    assert listed(table) == list(range(20, 25))
    tell(table, "page", -99)
    assert listed(table) == list(range(10))


def test_a_heading_sorts_rising_then_falling_then_as_given(table):
    known = ROWS["energy"].notna().sum()
    tell(table, "sort", "energy")
    values = ROWS["energy"].iloc[table.order].to_numpy()
    assert (np.diff(values[:known]) >= 0).all() and np.isnan(values[known:]).all()
    tell(table, "sort", "energy")
    values = ROWS["energy"].iloc[table.order].to_numpy()
    assert (np.diff(values[:known]) <= 0).all() and np.isnan(values[known:]).all()
    assert table.view["falling"]
    tell(table, "sort", "energy")
    assert table.order.tolist() == list(range(25)) and table.view["sort"] == ""


def test_numbers_written_as_text_sort_as_numbers(table):
    table.sort_by("id", falling=True)
    assert listed(table)[:3] == [24, 23, 22]


@given(st.lists(st.booleans(), min_size=25, max_size=25), st.sampled_from(["", *ROWS.columns]))
def test_what_is_listed_is_what_is_kept_in_whatever_order(kept, column):
    table = CrystalTable(ROWS, message=MessageLine())
    table.sort_by(column)
    table.keep(np.array(kept))
    assert sorted(table.order.tolist()) == np.flatnonzero(kept).tolist()
    assert table.view["total"] == sum(kept) and table.view["all"] == 25


def test_arrow_keys_go_through_what_is_listed_and_turn_the_page(table):
    table.keep(np.arange(25) % 2 == 0)
    tell(table, "move", 1)
    assert table.selected == 0  # nothing was chosen: the first
    tell(table, "move", 10)
    assert table.selected == 20 and 20 in listed(table) and 0 not in listed(table)
    tell(table, "move", 99)
    assert table.selected == 24
    tell(table, "edge", "first")
    assert table.selected == 0
    tell(table, "edge", "last")
    assert table.selected == 24


def test_the_choice_survives_a_filter_that_hides_it(table):
    table.selected = 12
    table.keep(np.arange(25) < 5)
    assert table.selected == 12 and 12 not in listed(table)
    tell(table, "move", 1)
    assert table.selected == 0
    table.selected = 12
    table.keep(np.ones(25, dtype=bool))
    assert 12 in listed(table)  # its page again


def test_moving_in_an_empty_list_does_nothing(table):
    table.keep(np.zeros(25, dtype=bool))
    tell(table, "move", 1)
    assert table.selected == -1 and listed(table) == [] and table.message.text == ""


def test_rows_are_picked_and_given_back(table):
    tell(table, "pick", 3)
    tell(table, "select", 5)
    tell(table, "pick", -1)  # the chosen one
    assert table.picked == (3, 5)
    assert [row["place"] for row in table.view["rows"] if row["picked"]] == [3, 5]
    tell(table, "pick", 3)
    assert table.picked == (5,)


def test_other_rows_forget_choice_and_picks_and_other_columns_keep_them(table):
    tell(table, "select", 4)
    tell(table, "pick", 4)
    table.update_rows(ROWS.assign(more=1), ["id", "more"])
    assert (table.selected, table.picked) == (4, (4,))
    assert [column["name"] for column in table.view["columns"]] == ["id", "more"]
    table.set_rows(ROWS.head(3))
    assert (table.selected, table.picked, table.view["total"]) == (-1, (), 3)


def test_a_sorted_column_that_goes_leaves_the_order_as_given(table):
    table.sort_by("energy")
    table.set_rows(ROWS[["id"]])
    assert table.order.tolist() == list(range(25)) and table.view["sort"] == ""


def test_every_message_is_answered_even_one_that_fails(table):
    tell(table, "select", "nonsense")
    assert table.answered == 1 and table.message.kind == "error"
    tell(table, "unknown")
    assert table.answered == 2


def test_an_observer_that_fails_is_seen(table):
    def fails(change):
        raise RuntimeError("no such crystal")

    table.observe(fails, "selected")
    tell(table, "select", 2)
    assert "no such crystal" in table.message.text and table.answered == 1


def test_values_are_written_for_people():
    assert column_texts(ROWS["flag"])[:4] == ["", "no", "yes", "no"]
    assert column_texts(ROWS["energy"])[2:4] == ["2.200", ""]
    assert column_texts(ROWS["group"])[:3] == ["0", "1", "2"]
    assert [is_number(ROWS[name]) for name in ROWS] == [False, True, False, True]


def test_a_column_with_words_of_its_own_is_still_sorted_by_its_values():
    rows = pd.DataFrame({"id": ["a", "b", "c"], "group": pd.array([225, None, 4], dtype="Int64")})
    table = CrystalTable(rows, message=MessageLine(), words={"group": group_in_words})
    table.sort_by("group")
    texts = [row["texts"] for row in table.view["rows"]]
    assert texts == [["c", "P2₁ (4)"], ["a", "Fm-3m (225)"], ["b", ""]]


def test_an_empty_table_is_no_error():
    table = CrystalTable(ROWS.head(0), message=MessageLine())
    assert table.view["rows"] == [] and table.view["total"] == 0
    tell(table, "edge", "first")
    assert table.answered == 1
