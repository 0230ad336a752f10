"""The notebooks' form: a skeleton, short cells, equations shown once, links that lead somewhere."""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys

import nbformat
import pytest

from tests.notebooks.form import (
    EQUATION,
    FOLDED,
    FOLDER,
    LINES,
    PATHS,
    SECTIONS,
    cells,
    equations,
    headings,
    links,
    read,
    words,
)

every = pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
EXPECTED = [
    "00_quickstart", "01_data_and_tokenizer", "02_llm_finetune", "03_pairing",
    "04_rfm_train", "05_sampling", "06_metrics", "07_explore", "08_seven_ways",
]  # fmt: skip


def test_all_nine_are_there():
    assert [path.stem for path in PATHS] == EXPECTED


@every
def test_it_is_a_valid_notebook_with_ids_of_its_own(path):
    notebook = read(path)
    nbformat.validate(notebook, relax_add_props=False)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.metadata.kernelspec.name == "python3"


@every
def test_outputs_counts_and_widgets_are_stripped(path):
    notebook = read(path)
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags"}


@every
def test_what_it_imports_of_the_workbench_is_there(path):
    missing = []
    for cell in read(path).cells:
        lines = cell.source.splitlines() if cell.cell_type == "code" else []
        code = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowllm"):
                module = importlib.import_module(node.module)
                missing += [
                    f"{node.module}.{alias.name}"
                    for alias in node.names
                    if not hasattr(module, alias.name)
                    and importlib.util.find_spec(f"{node.module}.{alias.name}") is None
                ]
    assert missing == []


def test_nbstripout_finds_nothing_to_strip():
    command = [sys.executable, "-m", "nbstripout", "--verify", "--keep-id", *map(str, PATHS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@every
def test_it_has_the_skeleton(path):
    first = cells(path, "markdown")[0]
    assert re.match(rf"# {path.stem[:2]} · \S", first)
    assert headings(path) == SECTIONS
    assert "FLOWLLM_SMOKE=1" in first, "how long it takes, with and without"


@every
def test_three_questions_have_folded_answers(path):
    text = "\n\n".join(cells(path, "markdown"))
    behind = text[text.index("## Questions") :]
    assert re.findall(r"\*\*Question (\d)\.\*\*", behind) == ["1", "2", "3"]
    assert len(FOLDED.findall(behind)) == behind.count("<details>") == 3


@every
def test_one_cell_holds_the_parameters(path):
    tagged = [c for c in read(path).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    source = tagged[0].source
    assert 'SMOKE = os.environ.get("FLOWLLM_SMOKE") == "1"' in source
    assert re.findall(r"^(?:import|from) .*", source, re.MULTILINE) == ["import os"]
    code = cells(path, "code")
    assert source == code[0], "the parameters come first"
    assert not any("FLOWLLM_SMOKE" in other for other in code[1:])


@every
def test_cells_are_short_and_there_is_more_prose_than_code(path):
    code, prose = cells(path, "code"), cells(path, "markdown")
    for source in code:
        assert len([line for line in source.splitlines() if line.strip()]) <= LINES, source
        compile(re.sub(r"^%.*$", "", source, flags=re.MULTILINE), path.name, "exec")
    assert sum(map(words, prose)) > sum(map(words, code))


@every
def test_every_displayed_equation_names_the_code_that_implements_it(path):
    for formula, behind in equations(path):
        code = [(name, to) for name, to in links(behind) if to.startswith("../flowllm/")]
        assert code, f"no link to code behind {formula}"


@every
def test_names_of_code_stand_in_the_file_that_they_link_to(path):
    for source in cells(path, "markdown"):
        for text, target in links(source):
            if not target.startswith("../") or not (name := re.fullmatch(r"`([\w.]+)`", text)):
                continue
            file = (FOLDER / target).resolve()
            last = name.group(1).split(".")[-1]
            if file.suffix == ".py" and not name.group(1).startswith("flowllm"):
                defined = rf"^\s*(?:def|class) {last}\b|^\s*{last}\b\s*[:=]"
                assert re.search(defined, file.read_text(), re.MULTILINE), f"{text} in {target}"


@every
def test_links_lead_somewhere(path):
    for source in cells(path, "markdown"):
        for text, target in links(source):
            if target.startswith("https://"):
                continue
            place = target.split("#")[0]
            assert place and (FOLDER / place).exists(), f"[{text}]({target})"


def test_an_equation_stands_in_one_place_only():
    seen: dict[str, str] = {}
    for path in PATHS:
        for formula, _ in equations(path):
            assert formula not in seen, f"{path.stem} and {seen[formula]}: {formula}"
            seen[formula] = path.stem
    assert len(seen) >= 15


@every
def test_display_mathematics_is_balanced(path):
    for source in cells(path, "markdown"):
        assert "$$" not in EQUATION.sub("", source)
        assert EQUATION.sub("", source).replace(r"\$", "").count("$") % 2 == 0
