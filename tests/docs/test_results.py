"""Tables of results on the pages are those that the stored figures give, and nothing else."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from flowllm import evaluate
from flowllm.teaching.textbook import textbook_structures
from recipes import results_tables
from recipes.results_columns import COUNT, ELSEWHERE, Elsewhere, Mean, Measured, Row
from recipes.results_pages import TABLES, figures_shown
from recipes.results_tables import DATA, MARKED, markdown, pages, store, stored, written
from tests.docs.pages import ROOT

PAGES = pages()


def names_of(column) -> tuple[str, ...]:
    """What a column reads: names of stored evaluations."""
    return getattr(column, "names", ()) or ((column.name,) if hasattr(column, "name") else ())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_is_what_the_figures_give(path):
    text = path.read_text("utf-8")
    assert text == written(text), "python -m recipes.results_tables write"


def test_every_table_stands_on_one_page():
    found = [name for path in PAGES for _, name, _ in MARKED.findall(path.read_text("utf-8"))]
    assert sorted(found) == sorted(TABLES)


def test_every_stored_evaluation_is_shown_and_says_how_it_was_made():
    shown = {
        name for table in TABLES.values() for c in table.columns.values() for name in names_of(c)
    }
    files = {path.stem for path in DATA.glob("*.json")} - {ELSEWHERE.stem}
    assert shown == files
    for name in files:
        record = json.loads((DATA / f"{name}.json").read_text("utf-8"))
        assert any(line.startswith("flowllm evaluate ") for line in record["commands"]), name
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", record["version"])
        generated = any(line.startswith("flowllm generate ") for line in record["commands"])
        assert bool(re.fullmatch(r"mp20-[\w-]+ \([0-9a-f]{12}\)", record["model"])) == generated
        assert re.fullmatch(r"[0-9a-f]{12}", record["settings"]["inputs"])
        assert {figure["name"] for figure in record["figures"]} <= figures_shown()


def test_figures_from_elsewhere_have_a_source_and_are_shown():
    found = json.loads(ELSEWHERE.read_text("utf-8"))
    columns = [column for table in TABLES.values() for column in table.columns.values()]
    keys = {c.key if isinstance(c, Elsewhere) else getattr(c, "beside", "") for c in columns}
    assert keys - {""} == set(found)
    for part in found.values():
        assert part["source"]
        assert {figure.removeprefix(COUNT) for figure in part["figures"]} <= figures_shown()


def test_a_figure_that_changes_alone_is_noticed(tmp_path, monkeypatch):
    """The same page from other figures is another page, and the other way round."""
    shutil.copytree(DATA, tmp_path / "data")
    monkeypatch.setattr(results_tables, "DATA", tmp_path / "data")
    page = ROOT / "docs" / "results" / "evaluation.md"
    text = page.read_text("utf-8")
    assert written(text) == text
    file = tmp_path / "data" / "mp20-compact-0.json"
    record = json.loads(file.read_text("utf-8"))
    for figure in record["figures"]:
        if figure["name"] == "valid composition":
            figure["value"] -= 0.01
    file.write_text(json.dumps(record))
    assert written(text) != text
    by_hand = text.replace("| compositional validity |", "| compositional validity | 1 |")
    assert by_hand != text and written(by_hand) == written(text)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """An evaluation of the textbook's crystals."""
    folder = tmp_path_factory.mktemp("evaluation") / "out"
    report = evaluate(
        textbook_structures().crystals, out=folder, only=["validity", "contacts"], workers=1
    )
    return folder, report


def test_storing_keeps_the_figures_that_tables_show(evaluation, tmp_path, monkeypatch):
    folder, report = evaluation
    monkeypatch.setattr(results_tables, "DATA", tmp_path)
    path = store(folder, "mine", ["flowllm evaluate crystals --out out"])
    record = json.loads(path.read_text("utf-8"))
    assert record["crystals"] == len(report.rows)
    assert record["commands"] == ["flowllm evaluate crystals --out out"]
    kept = {metric.name: metric for metric in stored("mine")}
    assert set(kept) == {metric.name for metric in report} & figures_shown()
    for name, metric in kept.items():
        for key in ("value", "low", "high"):
            assert getattr(metric, key) == pytest.approx(getattr(report[name], key), rel=1e-5)
        assert (metric.n, metric.unit) == (report[name].n, report[name].unit)


def test_cells_of_the_columns(evaluation):
    _, report = evaluation
    figure = "valid composition"
    metric = report[figure]
    row = Row("composition", (figure,))
    assert Mean(("a",)).cell(row, lambda _: list(report)) == f"{100 * metric.value:.1f} %"
    mean = Mean(("a", "b")).cell(Row("%", (figure,), bare=True), lambda _: list(report))
    assert mean == f"{100 * metric.value:.1f}"
    seeds = Measured(("a", "b")).cell(row, lambda _: list(report))
    assert seeds == f"{metric.text.replace(f', n = {metric.n}', '')} [{100 * metric.value:.1f}]"
    assert Measured(("a",)).cell(Row("n", (f"n of {figure}",)), lambda _: list(report)) == str(
        metric.n
    )
    assert Mean(("a",)).cell(Row("none", ("recall",)), lambda _: list(report)) == ""
    published = Elsewhere("published for FlowLLM").cell(Row("both", ("recall", "precision")), list)
    assert published == "96.95 %; 99.82 %"


def test_a_table_has_its_rows_and_columns():
    lines = markdown("readme").strip().splitlines()
    wanted = TABLES["readme"]
    assert len(lines) == len(wanted.rows) + 2
    assert {line.count("|") for line in lines} == {len(wanted.columns) + 2}
