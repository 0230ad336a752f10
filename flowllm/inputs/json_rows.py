"""JSON files of crystals: lists, tables and databases of structures, one row each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowllm.errors import InputError
from flowllm.inputs.files import kind_of_text
from flowllm.inputs.items import Item, ReadCrystal
from flowllm.inputs.limits import shown
from flowllm.inputs.structure_json import crystal_from_value
from flowllm.runs.json_object import type_name

ID_KEYS = ("material_id", "entry_id", "task_id", "id", "name")
CRYSTAL_KEYS = ("structure", "cif")
LIST_KEYS = ("data", "response", "results", "structures", "entries")  # of answers of databases
DEPTH = 4  # lists in tables in lists


def load_json(text: str) -> Any:
    """The value of a JSON text, or the list of the values in its lines.

    Raises:
        InputError: it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError("the JSON is nested too deeply") from None
    except ValueError as error:
        lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        if len(lines) > 1 and all(line.lstrip()[:1] == "{" for _, line in lines):
            values = [_of_line(number, line) for number, line in lines]
            if not all(isinstance(value, InputError) for value in values):
                return values
        if text.lstrip()[:2] in ("{'", "[{'"):
            raise InputError(
                "a dict in Python's notation, not JSON; write it by json.dumps"
            ) from None
        where = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"the JSON cannot be parsed{where}") from None


def _of_line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return InputError(f"the JSON cannot be parsed in line {number}")


def json_items(text: str, stem: str, place: str, max_atoms: int) -> list[Item]:
    """One item for each structure in a JSON text, read already.

    Raises:
        InputError: it is not JSON, or contains no structure.
    """
    found = list(structures_in(load_json(text)))
    items = []
    for number, (name, value) in enumerate(found):
        own = name or (stem if len(found) == 1 else f"{stem}-{number}")
        where = place if len(found) == 1 else f"{place}, {own}"
        if isinstance(value, str):
            items.append(Item(own, where, kind_of_text(value) or "unknown", value))
            continue
        try:
            if isinstance(value, InputError):
                raise value
            read = crystal_from_value(value, max_atoms)
            items.append(Item(own, where, done=(read.crystal, 0), remarks=read.remarks))
        except InputError as error:
            items.append(Item(own, where, reason=str(error)))
    return items


def crystal_from_json(text: str, max_atoms: int) -> ReadCrystal:
    """The only structure of a JSON text.

    Raises:
        InputError: it holds none, several, or one that is not a crystal.
    """
    found = list(structures_in(load_json(text)))
    if len(found) != 1:
        raise InputError(f"{len(found)} structures in one JSON text")
    if isinstance(found[0][1], InputError):
        raise found[0][1]
    return crystal_from_value(found[0][1], max_atoms)


def structures_in(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(id or "", structure) of each structure in a value of JSON.

    A structure is a dict, or the text of a crystal; a row of several that holds none is the error
    that says so.

    Raises:
        InputError: the value holds none.
    """
    if depth > DEPTH:
        raise InputError("the JSON contains no structure in its first levels")
    if isinstance(value, InputError):
        raise value
    if isinstance(value, list):
        yield from _rows((("", item) for item in value), depth)
    elif isinstance(value, str) and kind_of_text(value) is not None:
        yield name, value
    elif not isinstance(value, dict):
        raise InputError(f"the JSON contains {type_name(value)}, not a structure")
    elif _is_structure(value):
        yield name or _id_of(value), value
    elif isinstance(value.get("ids"), list) and "nextid" in value:  # a database of ASE
        for number in value["ids"]:
            row = value.get(str(number))
            pairs = row.get("key_value_pairs") if isinstance(row, dict) else None
            yield _id_of(pairs or {}) or str(number), row
    elif key := next((k for k in CRYSTAL_KEYS if _may_hold(value.get(k))), ""):
        yield from structures_in(value[key], name or _id_of(value), depth + 1)
    elif isinstance(value.get("data"), list) and isinstance(value.get("columns"), list):
        yield from _rows((("", _cell(row)) for row in value["data"]), depth)  # a split data frame
    elif key := next((k for k in LIST_KEYS if isinstance(value.get(k), list)), ""):
        yield from structures_in(value[key], "", depth + 1)
    elif any(map(_may_hold, value.values())) and all(
        part is None or _may_hold(part) for part in value.values()
    ):
        yield from _rows(((str(key), part) for key, part in value.items()), depth)
    else:
        kind = f"{shown(value['@class'])} " if "@class" in value else ""
        keys = ", ".join(shown(key, 20) for key in list(value)[:6])
        raise InputError(
            f"the JSON {kind}contains no structure of pymatgen or ASE; its keys are {keys}"
        )


def _rows(parts: Iterable[tuple[str, Any]], depth: int) -> list[tuple[str, Any]]:
    """The structures of several rows; rows without one keep their place.

    Raises:
        InputError: none of them holds a structure; the first one's reason.
    """
    found: list[tuple[str, Any]] = []
    for name, part in parts:
        try:
            found += structures_in(part, name, depth + 1)
        except InputError as error:
            found.append((name or (_id_of(part) if isinstance(part, dict) else ""), error))
    if found and all(isinstance(value, InputError) for _, value in found):
        raise found[0][1]
    return found


def _cell(row: Any) -> Any:
    """The cell of a row that is a structure."""
    cells = row if isinstance(row, list) else [row]
    return next((cell for cell in cells if isinstance(cell, dict)), row)


def _may_hold(part: Any) -> bool:
    return isinstance(part, (dict, list)) or (
        isinstance(part, str) and kind_of_text(part) is not None
    )


def _is_structure(value: Mapping[str, Any]) -> bool:
    return ("sites" in value and ("lattice" in value or "@class" in value)) or (
        "numbers" in value and "positions" in value
    )


def _id_of(value: Mapping[str, Any]) -> str:
    found = (value.get(key) for key in ID_KEYS)
    return next((str(name) for name in found if isinstance(name, (str, int)) and str(name)), "")
