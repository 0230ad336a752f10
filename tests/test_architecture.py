"""The house: no import cycles, packages import downwards only, few loose modules, one name each."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "flowllm"
HEADING = "## Layers"


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str, known: set[str]) -> set[str]:
    """Modules of the package that a source imports, late and type-only imports included."""

    def module_of(name: str) -> str:
        while name and name not in known:
            name = name.rpartition(".")[0]
        return name

    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            if (node.module or "").split(".")[0] == "flowllm":
                for alias in node.names:
                    found.add(module_of(f"{node.module}.{alias.name}"))
        elif isinstance(node, ast.Import):
            found |= {
                module_of(alias.name)
                for alias in node.names
                if alias.name.split(".")[0] == "flowllm"
            }
    return found - {""}


@pytest.fixture(scope="module")
def edges() -> dict[str, set[str]]:
    files = modules()
    return {name: imports(path.read_text(), set(files)) - {name} for name, path in files.items()}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(group)

    for node in graph:
        if node not in index:
            visit(node)
    return found


def layers() -> list[str]:
    """The packages from the lowest to the highest, as CONTRIBUTING.md lists them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text[text.index(HEADING) :].split("\n## ")[0]
    return re.findall(r"^\d+\. `(\w+)`", section, re.M)


def package(module: str) -> str:
    """The room of a module: the first name below flowllm, or its own where it is loose."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "flowllm"


def test_every_import_names_a_module_that_is_there():
    """Late imports too, which fail only when they are reached."""
    rooms = {"flowllm": ROOT, "flowllm_widgets": ROOT / "widgets"}
    known = {
        ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
        for name, base in rooms.items()
        for path in (base / name).rglob("*.py")
    }
    missing = [
        f"{path.relative_to(ROOT)}: {module}"
        for folder in ("flowllm", "widgets", "tests", "recipes")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in named(node)
        if module.split(".")[0] in rooms and module not in known
    ]
    assert missing == []


def named(node: ast.AST) -> list[str]:
    """The modules that a statement imports from."""
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_cycles_are_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    late = "def f():\n    from flowllm.b import c\nif TYPE_CHECKING:\n    import flowllm.d\n"
    assert imports(late, {"flowllm.b", "flowllm.d"}) == {"flowllm.b", "flowllm.d"}


def test_no_module_imports_itself_through_others(edges):
    assert cycles(edges) == []


def test_packages_import_downwards_only(edges):
    order = layers()
    assert sorted(order) == sorted({package(name) for name in edges} - {"flowllm", "__main__"})
    height = {name: place for place, name in enumerate(order)}
    upwards = [
        f"{name} imports {other}"
        for name, others in edges.items()
        for other in others
        if package(name) in height
        and package(other) in height
        and height[package(other)] > height[package(name)]
    ]
    assert upwards == []


def test_protocols_import_no_method(edges):
    seen, waiting = set(), ["flowllm.systems.protocols"]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += edges[name]
    assert not [name for name in seen if package(name) in ("methods", "workflows")]


def test_few_modules_lie_loose():
    loose = [path.name for path in PACKAGE.glob("*.py")]
    assert len(loose) <= 12, loose


def test_no_two_classes_have_one_name():
    places = defaultdict(list)
    for name, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice == {}


def test_the_headless_package_imports_no_widget():
    counts = Counter()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            counts.update(name.split(".")[0] for name in names)
    assert not {"ipywidgets", "nglview", "anywidget", "flowllm_widgets"} & set(counts)
