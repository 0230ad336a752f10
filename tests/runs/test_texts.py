"""Texts from outside as lines, names of files and cells of tables."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.runs.terminal import cell, heading, say
from flowllm.runs.texts import (
    csv_of,
    frame_csv,
    guarded,
    printable,
    safe_names,
    unguarded,
    unguarded_frame,
)

ANY = st.text(st.characters(), max_size=30)  # surrogates and control characters among them
HOSTILE = [
    "=HYPERLINK(\"http://a.org\")", "+1+1", "-2-3", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''+x",
    "[/x]", "[red]", "\x1b[31m", "\x1b]0;title\x07", "\u202egnp", "a\nb", "\udcff", "<b>", "Å",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_and_cells_are_shown_and_not_obeyed(text, capsys):
    from rich.console import Console
    from rich.table import Table

    say(text)
    shown = capsys.readouterr().out
    assert shown.endswith("\n") and shown[:-1].isprintable()
    table = Table(heading(text))
    table.add_row(cell(text))
    buffer = io.StringIO()
    Console(file=buffer, width=200).print(table)
    assert buffer.getvalue().count(printable(text)) == 2
    assert "\x1b" not in buffer.getvalue()


def test_what_can_be_shown_stays_and_the_rest_is_legible():
    assert printable("BaTiO₃ at 20 °C, Å") == "BaTiO₃ at 20 °C, Å"
    assert printable("a\x1b[31m\n\u202e\udcff") == r"a\x1b[31m\n\u202e\udcff"
    assert len(printable("x" * 10**6, 200)) < 210


@given(st.lists(ANY, max_size=8))
def test_names_are_allowed_everywhere_and_different(texts):
    names = safe_names(texts, ["taken"])
    assert len({name.lower() for name in names} | {"taken"}) == len(texts) + 1
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_+()=][A-Za-z0-9._+()=-]*", name)
        assert not name.endswith(".") and len(name.encode()) < 143


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CON", "_CON"), ("aux ", "aux_"), ("nul.cif", "_nul.cif"), ("Com1", "_Com1"),
        ("lpt9.a.b", "_lpt9.a.b"), ("a/../b", "a_.._b"), ("..", "crystal"), (".hidden", "hidden"),
        ("-rf", "_-rf"), ("Ca(OH)2", "Ca(OH)2"), ("Ж", "_"), ("x" * 99 + "..y", "x" * 99),
        ("console", "console"), ("a\\b", "a_b"), ("C:x", "C_x"),
    ],
)  # fmt: skip
def test_names_that_other_systems_take_for_something_else(text, name):
    assert safe_names([text]) == [name]


# ---- tables --------------------------------------------------------------------------------------


@given(ANY)
def test_a_guarded_cell_begins_no_formula_and_gives_its_text_back(text):
    cell = guarded(text)
    assert unguarded(cell) == text
    if not re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?", text):
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")


@pytest.mark.parametrize("value", [-1.5, 3, True, None, "-1.5", "+3", "-2e-5", "mp-1", "'quoted'"])
def test_numbers_and_plain_texts_stay(value):
    assert guarded(value) is value and unguarded(value) is value


def test_tables_come_back_as_they_were():
    texts = [text for text in HOSTILE if text != "\udcff"]  # which no file holds
    table = pd.DataFrame(
        {"id": texts, "energy": [-0.5 * k for k in range(len(texts))], "=x": texts}
    )
    text = frame_csv(table)
    for row in csv.reader(io.StringIO(text, newline="")):
        assert row[0][:1] not in ("=", "+", "@", "\t", "\r")
    back = unguarded_frame(pd.read_csv(io.StringIO(text), dtype={"id": str, "=x": str}))
    assert back["id"].tolist() == texts and back["=x"].tolist() == texts
    assert back["energy"].tolist() == table["energy"].tolist()
    assert csv_of(["id", "e"], [["=1", -1.0], {"id": "-x", "e": 2}]) == "id,e\n'=1,-1.0\n'-x,2\n"
