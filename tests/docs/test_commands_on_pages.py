"""What the pages tell people to type is accepted: commands, targets of make, Python."""

from __future__ import annotations

import functools
import importlib.util
import re
import shlex
from dataclasses import replace

import pytest

from flowllm.cli import main
from flowllm.commands import COMMANDS
from tests.docs.pages import ROOT, blocks, shell_lines

PAGES = [
    ROOT / "README.md",
    ROOT / "MODEL_CARD.md",
    *sorted((ROOT / "docs").glob("*/*.md")),
    ROOT / "docs" / "start.md",
    ROOT / "docs" / "index.md",
]
LINES = sorted({line for path in PAGES for line in shell_lines(path)})
FLOWLLM = [line for line in LINES if line.startswith("flowllm ")]
OWN = {
    "runs/ablation/types/model": "mp20-compact",
    "runs/llama-system": "mp20-compact",
    "runs/my-system/model": "mp20-compact",
}
"""Systems that the pages make -> one of their kind that ships, for it decides on the options."""


def test_the_pages_have_commands():
    assert len(FLOWLLM) > 40
    assert {line.split()[1] for line in FLOWLLM} >= set(COMMANDS) - {"bench", "reference"}


def noting(called, command, function):
    """A command that notes its name instead of its work."""

    @functools.wraps(function)
    def noted(*_, **__):
        called.append(command)

    return noted


@pytest.mark.parametrize("line", FLOWLLM)
def test_a_command_line_is_accepted(line, tmp_path, monkeypatch, capsys):
    """The command line reads it, and settings check its values; the work itself is not done."""
    called: list[str] = []
    for name, command in COMMANDS.items():
        noted = noting(called, name, command.function)
        monkeypatch.setitem(COMMANDS, name, replace(command, function=noted))
    words = [OWN.get(word, word) for word in shlex.split(line)[1:]]
    words = ["1" if word == "S" else word for word in words]  # a seed
    words = [word.replace("$augmentation", "none") for word in words]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0, capsys.readouterr().err
    assert called == [words[0]]


def test_other_lines_call_what_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    known = ("flowllm ", "pip install ", "dask ", "for ", "done", "python3.12 -m venv ", "conda ")
    for line in LINES:
        words = line.split()
        if words[0] == "make":
            assert words[1] in targets, line
        elif words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]) is not None, line
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), line
        else:
            assert line.startswith(known), line


SNIPPETS = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}-{index}")
    for path in PAGES
    for index, code in enumerate(blocks(path.read_text("utf-8"), "python"))
]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A folder where runs/a holds two crystals, and runs/theirs an evaluation of two others."""
    from flowllm import evaluate
    from flowllm.teaching.textbook import textbook_structures

    crystals = textbook_structures().crystals
    runs = tmp_path_factory.mktemp("pages") / "runs"
    for name, batch in (("a", crystals[:2]), ("others", crystals[2:4])):
        (runs / name).mkdir(parents=True)
        for crystal, text in zip(batch.ids, batch.to_cif(), strict=True):
            (runs / name / f"{crystal}.cif").write_text(text)
    evaluate(runs / "others", out=runs / "theirs", only=["validity"], workers=1)
    return runs.parent


@pytest.mark.parametrize("code", SNIPPETS)
def test_python_on_a_page_runs(code, request, tmp_path, monkeypatch):
    """Smaller: one crystal for several, and validity alone for a whole evaluation."""
    reads = "evaluate(" in code
    monkeypatch.chdir(request.getfixturevalue("evaluated") if reads else tmp_path)
    code = re.sub(r"generate\(\s*\d+", "generate(1", code)
    code = re.sub(r'out="runs/a/eval"(, only=[^)]*)?', 'out="out", only=["validity"]', code)
    code = code.replace('out="out"', 'workers=1, overwrite=True, out="out"')
    code = code.replace('["e_above_hull"].show()', '["validity"]')
    exec(compile(code, "page", "exec"), {"__name__": "__main__"})
