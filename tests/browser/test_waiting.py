"""Every browser test waits for what it asks: `until` and `settled` work, and nothing else reads."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.waiting import PageError, settled, until

TESTS = [path for path in sorted(Path(__file__).parent.glob("test_*.py")) if path != Path(__file__)]
# Methods of Playwright's pages and locators that read at once, without waiting for a condition.
READING = set(
    "all all_inner_texts all_text_contents bounding_box count eval_on_selector "
    "eval_on_selector_all evaluate evaluate_all evaluate_handle get_attribute inner_html "
    "inner_text input_value is_checked is_disabled is_editable is_enabled is_hidden is_visible "
    "query_selector query_selector_all screenshot text_content title".split()
)
PAUSES = {"sleep", "wait_for_timeout"}
WAITS = {"until", "settled"}


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def reads(call: ast.Call, readers: set[str]) -> bool:
    """Whether a call reads the page; `text.count("a")` and `array.all(1)` do not."""
    name = name_of(call)
    if isinstance(call.func, ast.Name):
        return name in readers
    other = name in {"all", "count"} and call.args
    return name in READING and not other


def bare_readings(node: ast.AST, readers: set[str]) -> Iterator[ast.Call]:
    """Calls that read the page and are not repeated by `until` or `settled`.

    A script that is evaluated for what it does, its value unused, is no reading. In an assertion
    the kernel too is to be asked by `until`.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and name_of(child) in WAITS:
            continue
        if isinstance(child, ast.FunctionDef):  # inside another: judged where it is called
            continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
            if name_of(child.value) == "evaluate":
                continue
        elif isinstance(child, ast.Assert):
            for part in ast.walk(child.test):
                if isinstance(part, ast.Call) and name_of(part) == "run":
                    yield part
        if isinstance(child, ast.Call) and reads(child, readers):
            yield child
        yield from bare_readings(child, readers)


def faults(source: str) -> list[str]:
    """Lines of a module of tests that read the page once, or pause."""
    tree = ast.parse(source)
    functions = [part for part in ast.walk(tree) if isinstance(part, ast.FunctionDef)]
    # A function may read, to be called by `until`; then its call is a reading like any other.
    readers: set[str] = set()
    while True:
        found = {
            function.name for function in functions
            if not function.name.startswith("test_") and not function.decorator_list
            and any(bare_readings(function, readers))
        }  # fmt: skip
        if found == readers:
            break
        readers = found
    tests = [function for function in functions if function.name not in readers]
    found_bare = [call for part in [tree, *tests] for call in bare_readings(part, readers)]
    pauses = [call for call in ast.walk(tree) if isinstance(call, ast.Call)
              and name_of(call) in PAUSES]  # fmt: skip
    calls = {call.lineno: call for call in found_bare + pauses}
    return [f"line {number}: {ast.unparse(call)}" for number, call in sorted(calls.items())]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_no_browser_test_reads_a_page_in_motion(path):
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "assert page.evaluate('1') == 1",
        "value = page.locator('a').inner_text()",
        "assert page.locator('a').count() == 2",
        "assert value_of(page) == 2",
        "box = page.locator('a').bounding_box()['x']",
        "assert page.locator('a').first.is_visible()",
        "page.locator('a').screenshot(path=path)",
        "page.wait_for_timeout(500)",
        "time.sleep(1)",
        "assert nb.run('print(1)') == '1'",
    ],
)
def test_a_reading_without_waiting_is_found(line):
    helper = "def value_of(page):\n    return int(page.locator('b').text_content())\n"
    test = f"def test_it(page, nb):\n    {line}\n"
    assert len(faults(helper + test)) == 1


def test_waiting_and_acting_are_no_faults():
    lines = (
        "page.evaluate('act()')",
        "until(lambda: page.locator('a').count() == 2)",
        "assert settled(page.locator('a').inner_text) == 'b'",
        "expect(page.locator('a')).to_have_count(2)",
        "assert 'abc'.count('a') == 1",
    )
    assert faults("def test_it(page):\n    " + "\n    ".join(lines) + "\n") == []


def test_until_reads_again_until_the_value_is_wanted_also_after_errors_of_the_page():
    values = iter([PageError("not there"), 1, 2, 3])

    def read() -> int:
        value = next(values)
        if isinstance(value, Exception):
            raise value
        return value

    assert until(read, lambda value: value > 1) == 2
    assert until(read, 3) == 3


def test_until_says_what_it_read_last():
    with pytest.raises(AssertionError, match=r"not 2 but 1: .*lambda: 1"):
        until(lambda: 1, 2, timeout=0.1)
    with pytest.raises(AssertionError, match=r"not true but .*gone"):
        until(lambda: (_ for _ in ()).throw(PageError("gone")), timeout=0.1)


def test_settled_waits_for_the_end_of_a_motion():
    values = itertools.chain([1, 2, 2, 3], itertools.repeat(4))
    assert settled(lambda: next(values), still=0.2) == 4
    counter = itertools.count()
    with pytest.raises(AssertionError, match="not at rest"):
        settled(lambda: next(counter), still=0.2, timeout=0.5)
