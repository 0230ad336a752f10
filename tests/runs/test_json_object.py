"""Values of JSON files by name and type: all else is one message that names file and value."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from flowllm.errors import InputError, first_line
from flowllm.runs.json_object import JsonObject


@dataclass(frozen=True)
class Inner:
    """In another."""

    size: int


@dataclass(frozen=True)
class Outer:
    """What a file holds."""

    name: str
    inner: Inner
    share: float = 0.5
    kept: bool = True


GOOD = {"name": "a", "inner": {"size": 3}, "share": 1, "kept": False}


def test_a_dataclass_comes_from_its_fields():
    assert JsonObject(GOOD, "a.json").make(Outer) == Outer("a", Inner(3), 1.0, False)
    assert JsonObject({"name": "a", "inner": {"size": 3}}, "a.json").make(Outer).share == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "a.json: name must be text, not null"),
        ({"inner": [1]}, "a.json: inner must be a JSON object, not a list"),
        ({"inner": {}}, "a.json: inner: size is missing"),
        ({"inner": {"size": True}}, "a.json: inner: size must be a whole number, not true"),
        ({"inner": {"size": 2.5}}, "a.json: inner: size must be a whole number, not 2.5"),
        ({"inner": {"size": 10**30}}, "not a huge number"),
        ({"share": float("nan")}, "a.json: share must be a finite number, not nan"),
        ({"share": 10**400}, "a.json: share must be a finite number, not a huge number"),
        ({"kept": "yes"}, "a.json: kept must be true or false, not 'yes'"),
        ({"more": 1}, "a.json: more is not known"),
    ],
)
def test_the_wrong_type_is_named(change, message):
    with pytest.raises(InputError) as caught:
        JsonObject({**GOOD, **change}, "a.json").make(Outer)
    assert message in str(caught.value)


def test_lists_are_checked_value_by_value():
    record = JsonObject({"x": [1, 2.5], "y": [1, "2"], "z": [{"n": 1}, {"n": -1}]}, "a.json")
    assert record.numbers("x", length=2) == [1.0, 2.5]
    with pytest.raises(InputError, match="y must be a list of finite numbers, not a list"):
        record.numbers("y")
    with pytest.raises(InputError, match="x must be a list of 3 finite numbers, not a list"):
        record.numbers("x", length=3)
    first, second = record.records("z")
    assert first.integer("n", least=0) == 1
    with pytest.raises(InputError, match=r"a\.json: z 1: n must be a whole number from 0, not -1"):
        second.integer("n", least=0)
    assert record.integer("none", 7) == 7 and record.records("none", []) == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (EOFError(), "it ends too early"),
        (MemoryError(), "there is too little memory"),
        (ValueError(), "it is damaged"),
        (RecursionError("maximum recursion depth exceeded"), "it is nested too deeply"),
        (KeyError("cif"), "cif is missing"),
        (KeyError("x is not a file in the archive"), "x is not a file in the archive"),
        (IsADirectoryError(21, "Is a directory", "/a/b"), "Is a directory"),
        (ValueError("json.decoder.JSONDecodeError: no value\nat all"), "no value"),
    ],
)
def test_a_reason_holds_no_name_of_a_class(error, line):
    assert first_line(error) == line
