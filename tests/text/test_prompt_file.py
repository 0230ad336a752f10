"""Prompt files: sentences, bare formulas, comments, and what says nothing."""

from pathlib import Path

import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.remarks import RemarkWarning
from flowllm.errors import InputError
from flowllm.text.prompt_file import read_prompts
from flowllm.text.prompts import OPENING, REQUEST, build_prompt, read_prompt, standard_prompt

CASE = Path(__file__).parents[1] / "inputs" / "cases" / "40_several_formulas"


def formula(text: str) -> str:
    return build_prompt(Conditions(formula=text))


def test_the_formulas_of_the_case_are_understood():
    assert read_prompts(CASE / "formulas_only.txt") == (formula("LiFePO4"), formula("LiCoO2"))
    with pytest.raises(InputError) as caught:
        read_prompts(CASE / "prompts.txt")
    for part in ("prompts.txt, line 5", "'TiO2 in space group 136'", "as in SrTiO3 or The"):
        assert part in str(caught.value)


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes) -> Path:
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "prompts.txt").write_bytes(raw)
        return tmp_path / "prompts.txt"

    return write


def test_lines_of_every_kind(written):
    file = written(
        f"# comment\r\n\r\nSr2Ti2O6\r\nThe band gap is 1.00\r\n{build_prompt()}\r\n"
        "The space group number is Fm-3m. It should glow.\r\n  Fe2 O3  \r\n"
    )
    with pytest.warns(RemarkWarning, match="reduced to SrTiO3"):
        found = read_prompts(file)
    assert found == (
        formula("SrTiO3"),
        build_prompt(Conditions(band_gap=1.0)),
        build_prompt(),
        OPENING + "The space group number is Fm-3m. It should glow. " + REQUEST,
        formula("Fe2O3"),
    )
    assert read_prompt(found[3]).space_group == 225
    assert "number is 225. It should glow." in (read_prompt(found[3]).prompt or "")


def test_encodings_with_a_mark(written):
    for encoding in ("utf-8-sig", "utf-16"):
        assert read_prompts(written("CuSO₄\nNaCl\n".encode(encoding))) == (
            formula("CuSO4"),
            formula("NaCl"),
        )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("make it shiny", "line 2: "),
        ("srtio3", "did you mean SrTiO3?"),
        ("LiFePO4 LiMn2O4", "2 formulas"),
        (OPENING + "Make it glow.", "'Make it glow.' is not a standard sentence"),
        ("<b>\x1b[31m", r"\x1b"),
    ],
)
def test_other_text_is_refused_with_its_line_and_an_example(written, line, said):
    with pytest.raises(InputError) as caught:
        read_prompts(written(f"NaCl\n{line}\n"))
    message = str(caught.value)
    assert said in message and "prompts.txt, line 2" in message
    assert "The chemical formula is SrTiO3." in message and "\x1b" not in message


def test_a_model_that_takes_any_text_gets_any_text(written):
    found = read_prompts(written("make it shiny\nNaCl\n"), free=True)
    assert found == (OPENING + "make it shiny " + REQUEST, formula("NaCl"))


def test_deuterium_is_said_once_a_line(written):
    with pytest.warns(RemarkWarning, match="is read as H") as caught:
        assert read_prompts(written("HDO\nLiFePO4\n"))[0] == formula("H2O")
    assert len(caught) == 1


def test_a_bare_formula_or_symbol_in_python_is_put_into_the_words_of_training():
    assert standard_prompt("HDO") == formula("H2O")
    assert read_prompt("LiFePO4").formula == "LiFePO4"
    for text in ("", "some crystal", build_prompt(), OPENING + REQUEST, "The band gap is wide."):
        assert standard_prompt(text) == text
    wrong = "The space group number is cubic."
    assert standard_prompt(wrong) == wrong and read_prompt(wrong).known() == []
