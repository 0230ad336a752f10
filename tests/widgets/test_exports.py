"""What `flowllm_widgets` offers: each name loads, checkers see it, its folder is installed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import flowllm_widgets

ROOT = Path(flowllm_widgets.__file__).parent


def typed() -> dict[str, str]:
    """Name -> module of the imports that only type checkers read."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.name: str(node.module).removeprefix("flowllm_widgets")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", flowllm_widgets._MODULES)
def test_every_widget_loads(name):
    assert getattr(flowllm_widgets, name).__name__ == name


def test_importers_and_type_checkers_see_the_same_widgets():
    assert sorted(flowllm_widgets.__all__) == sorted(flowllm_widgets._MODULES)
    assert typed() == flowllm_widgets._MODULES


def test_every_folder_with_modules_is_a_package():
    """One without `__init__.py` works in a checkout and is missing where it is installed."""
    folders = {path.parent for path in ROOT.rglob("*.py")}
    assert [folder.name for folder in folders if not (folder / "__init__.py").is_file()] == []
