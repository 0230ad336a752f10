"""Formulas, symbols and repeated options on the command line."""

import csv
import warnings
from pathlib import Path

import pytest

from flowllm.cli import main
from flowllm.commands.options import check_repeated
from flowllm.conditions.remarks import RemarkWarning
from flowllm.conditions.request import Request
from flowllm.errors import InputError
from flowllm.systems.system import FlowLLM
from flowllm.text import parse_prompt

CASES = Path(__file__).parents[1] / "inputs" / "cases"


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr(
        "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
    )


def generate(out: Path, model: Path, *words: str) -> tuple[int, list[dict[str, str]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", RemarkWarning)
        code = main(["generate", *words, "--out", str(out), "--steps", "1", "--model", str(model)])
    rows = out / "crystals.csv"
    return code, list(csv.DictReader(rows.read_text().splitlines())) if rows.is_file() else []


def notes(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if "note:" in line]


@pytest.mark.parametrize(
    ("words", "formula"),
    [
        (["--formula", "HDO"], "H2O"),
        (["--formula", "LiD"], "LiH"),
        (["--composition", "Li1 D1"], "LiH"),
    ],
)
def test_deuterium_is_hydrogen_and_said_once(
    words, formula, system_folder, tmp_path, no_page, capsys
):
    code, rows = generate(tmp_path / "out", system_folder, *words, "--num", "2")
    assert code == 0 and {row["formula"] for row in rows} == {formula}
    assert notes(capsys) == ["flowllm: note: D (deuterium) is read as H"]


def test_elements_take_deuterium_too(system_folder, tmp_path, no_page, capsys):
    code, (row,) = generate(
        tmp_path / "out", system_folder, "--elements", "Li,D,O", "--num", "1", "--space-group", "p1"
    )
    assert code == 0 and parse_prompt(row["prompt"]).space_group == 1
    assert set(parse_prompt(row["prompt"]).elements) == {"Li", "H", "O"}
    assert notes(capsys) == ["flowllm: note: D (deuterium) is read as H"]


def test_sizes_of_a_formula_that_is_a_multiple_are_said(system, system_folder, capsys):
    with pytest.warns(RemarkWarning, match="H2O2 is HO reduced: cells have 2, 4, …, 20") as caught:
        system.check(Request(formula="H2O2"))
    assert len(caught) == 1


def test_a_file_of_formulas_gives_their_crystals(system_folder, tmp_path, no_page, capsys):
    file = CASES / "40_several_formulas" / "formulas_only.txt"
    code, rows = generate(tmp_path / "out", system_folder, "--prompt-file", str(file))
    assert code == 0 and [row["formula"] for row in rows] == ["LiFePO4", "LiCoO2"]
    file = CASES / "40_several_formulas" / "prompts.txt"
    assert generate(tmp_path / "more", system_folder, "--prompt-file", str(file)) == (2, [])
    assert "prompts.txt, line 5: formula 'TiO2 in space group 136'" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--formula", "SrTiO3 (cubic)"], "--space-group 221 for cubic"),
        (["--formula", "a" * 10**6], "(1,000,000 characters)"),
        (["--space-group", "cubic"], "195 to 230"),
        (["--space-group", "Fm3x"], "like it are"),
        (["--elements", "li,O"], "did you mean Li?"),
        (["--composition", "sr1 ti1 o3"], "did you mean Sr1 Ti1 O3?"),
        (
            ["--formula", "LiFePO4", "--formula", "LiMn2O4"],
            "--formula is given twice: 'LiFePO4' and 'LiMn2O4'; put several formulas into a file",
        ),
        (["--num-atoms=3", "--num_atoms", "4"], "--num-atoms is given twice: '3' and '4'"),
    ],
)
def test_what_cannot_be_read_is_one_line(words, said, system_folder, tmp_path, capsys):
    assert generate(tmp_path / "out", system_folder, *words) == (2, [])
    shown = capsys.readouterr().err.strip()
    assert said in shown and "\n" not in shown and len(shown) < 400
    assert not (tmp_path / "out").exists()


def test_options_are_repeated_only_if_their_whole_name_is():
    check_repeated(["generate", "--formula", "A", "--num", "1", "--formation-energy", "-1"])
    check_repeated(["refine", "a.cif", "b.cif", "--out", "x", "--", "--out", "--out"])
    for words, said in (
        (["--overwrite", "--num", "1", "--overwrite"], "--overwrite is given twice; give it once"),
        (["--seed", "1", "--seed", "1", "--seed=2"], "given 3 times: '1' and '1' and '2'"),
    ):
        with pytest.raises(InputError, match=said):
            check_repeated(["export", "x", *words])


def test_part_of_a_name_is_no_option(capsys):
    with pytest.raises(SystemExit):  # so that --form and --formula cannot both be given
        main(["generate", "--form", "A", "--out", "x"])


def test_words_that_no_sentence_holds_are_refused_unless_the_model_writes_freely(system):
    shiny = Request(prompts=("make me something shiny",))
    with pytest.raises(
        InputError, match=r"prompt 'make me .*expected a standard sentence, as in 'The"
    ):
        system.check(shiny)
    FlowLLM(system.prior.unconstrained(), None, [1]).check(shiny)
    system.check(Request(prompts=("LiFePO4", "The band gap is 1.00. ")))
