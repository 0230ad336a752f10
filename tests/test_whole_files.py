"""Every file is written whole or not at all: nothing opens a file for writing on its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [*(ROOT / "flowllm").rglob("*.py"), *(ROOT / "widgets/flowllm_widgets").rglob("*.py")]
METHODS = {"write_text", "write_bytes", "to_hdf", "to_parquet", "to_pickle", "write_html"}
"""Methods that write a file in place, whatever they are given."""
GIVEN_A_PATH = {"to_csv", "to_html", "to_json", "save_file", "savez", "savez_compressed", "savetxt"}
"""Functions that write a file in place where their first argument is a path."""
SAVES = {"save_pretrained", "save_model", "copyfile", "copytree", "copy2"}
"""Those that write into a folder in place."""
ALLOWED = {
    ("flowllm/runs/archive.py", "savez_compressed"): "into memory",
    ("flowllm/training/ema.py", "save_file"): "into a checkpoint, which counts once it is sealed",
    ("flowllm/methods/flow/couplings/files.py", "open"): "a member of an archive",
    ("flowllm/methods/language_model/finetune/load.py", "save_pretrained"): "into `whole_files`",
    ("flowllm/methods/language_model/prior.py", "save_pretrained"): "our own",
    ("flowllm/methods/flow/refiner.py", "save_pretrained"): "our own",
    ("flowllm/methods/flow/train.py", "save_pretrained"): "our own",
    ("flowllm/workflows/train/package.py", "save_pretrained"): "our own",
    ("flowllm/methods/language_model/finetune/train.py", "save_model"): "where nothing is written",
}
FOLDERS = {"whole_files", "whole_folder"}


def opens_to_write(call: ast.Call) -> bool:
    """Whether a call of `open`, as a function or a method, has or may have a mode that writes."""
    given = [k.value for k in call.keywords if k.arg == "mode"]
    given += call.args[:2] if isinstance(call.func, ast.Attribute) else call.args[1:2]
    texts = [n.value for each in given for n in ast.walk(each) if isinstance(n, ast.Constant)]
    return any(re.fullmatch("[rwxabt+]*[wxa+][rwxabt+]*", t) for t in texts if isinstance(t, str))


def writes(source: str) -> set[str]:
    """Names of the calls of a source that write in place and not into a temporary folder."""
    tree, found = ast.parse(source), set()
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any(
            isinstance(call, ast.Call) and getattr(call.func, "id", "") in FOLDERS
            for item in node.items
            for call in [item.context_expr]
        ):
            inside |= {id(child) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        path_given = bool(node.args) or any(k.arg and "path" in k.arg for k in node.keywords)
        if (
            (name == "open" and opens_to_write(node))
            or name in METHODS
            or (name in GIVEN_A_PATH and path_given)
            or (name in SAVES and id(node) not in inside)
        ):
            found.add(name)
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("open(p, 'w')", {"open"}),
        ("open(p, mode='ab')", {"open"}),
        ("p.open('x')", {"open"}),
        ("open(p, 'ab' if there else 'wb')", {"open"}),
        ("archive.open(name, 'w')", {"open"}),
        ("p.write_text(t)", {"write_text"}),
        ("table.to_csv(p)", {"to_csv"}),
        ("model.save_pretrained(p)", {"save_pretrained"}),
        ("with whole_files(p) as q:\n    model.save_pretrained(q)", set()),
        ("open(p); open(p, 'rb'); table.to_csv(index=False); gzip.open(p, 'rt')", set()),
    ],
)
def test_the_search_finds_what_it_should(source, expected):
    assert writes(source) == expected


def test_nothing_is_written_in_place():
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in SOURCES
        for name in writes(path.read_text(encoding="utf-8"))
    }
    assert found <= set(ALLOWED), "use flowllm.runs.files"
    assert set(ALLOWED) <= found, "the list names what is no longer there"
