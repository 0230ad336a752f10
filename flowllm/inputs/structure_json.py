"""Crystals as JSON: structures of pymatgen, entries that hold one, and databases of ASE.

Nothing is imported by the names that such a file holds, and no object is built from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flowllm.errors import InputError
from flowllm.inputs.items import Item, ReadCrystal, crystal_from_lattice, element_number
from flowllm.inputs.limits import shown
from flowllm.inputs.xyz import check_periodic
from flowllm.runs.json_object import type_name

ID_KEYS = ("material_id", "entry_id", "task_id", "id", "name")
DEPTH = 4  # lists in tables in lists
FULL = 0.01  # an occupancy is one within this
ORDERED = "only ordered structures are crystals here"
_SYMBOL = re.compile(r"([A-Z][a-z]?)(\d*(\.\d+)?[+-])?")


def load_json(text: str) -> Any:
    """The value of a JSON text, or the list of the values in its lines.

    Raises:
        InputError: it is no JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError("the JSON is nested too deeply") from None
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) > 1 and all(line.lstrip()[:1] == "{" for line in lines):
            try:
                return [json.loads(line) for line in lines]
            except (ValueError, RecursionError):
                pass
        if text.lstrip()[:2] in ("{'", "[{'"):
            raise InputError(
                "a dict in Python's notation, not JSON; write it by json.dumps"
            ) from None
        where = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"the JSON does not parse{where}") from None


def json_items(text: str, stem: str, place: str, max_atoms: int) -> list[Item]:
    """One item for each structure in a JSON text, read already.

    Raises:
        InputError: it is no JSON, or holds no structure.
    """
    found = list(structures_in(load_json(text)))
    items = []
    for number, (name, value) in enumerate(found):
        own = name or (stem if len(found) == 1 else f"{stem}-{number}")
        where = place if len(found) == 1 else f"{place}, {own}"
        try:
            read = crystal_from_value(value, max_atoms)
            items.append(Item(own, where, done=(read.crystal, 0), remarks=read.remarks))
        except InputError as error:
            items.append(Item(own, where, reason=str(error)))
    return items


def crystal_from_json(text: str, max_atoms: int) -> ReadCrystal:
    """The only structure of a JSON text.

    Raises:
        InputError: it holds none, several, or one that is no crystal.
    """
    found = list(structures_in(load_json(text)))
    if len(found) != 1:
        raise InputError(f"{len(found)} structures in one JSON text")
    return crystal_from_value(found[0][1], max_atoms)


def structures_in(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(id or "", structure) of each structure in a value of JSON.

    Raises:
        InputError: the value holds none.
    """
    if depth > DEPTH:
        raise InputError("the JSON holds no structure in its first levels")
    if isinstance(value, list):
        for item in value:
            yield from structures_in(item, "", depth + 1)
    elif not isinstance(value, dict):
        raise InputError(f"the JSON holds {type_name(value)}, no structure")
    elif _is_structure(value):
        yield name or _id_of(value), value
    elif isinstance(value.get("ids"), list) and "nextid" in value:  # a database of ASE
        for number in value["ids"]:
            row = value.get(str(number))
            pairs = row.get("key_value_pairs") if isinstance(row, dict) else None
            yield _id_of(pairs or {}) or str(number), row
    elif isinstance(value.get("structure"), (dict, list)):
        yield from structures_in(value["structure"], name or _id_of(value), depth + 1)
    elif isinstance(value.get("data"), list) and isinstance(value.get("columns"), list):
        for row in value["data"]:  # a data frame of pandas, split
            cells = row if isinstance(row, list) else [row]
            yield from structures_in(
                next((c for c in cells if isinstance(c, dict)), row), "", depth + 1
            )
    elif value and all(isinstance(part, (dict, list)) for part in value.values()):
        for key, part in value.items():
            yield from structures_in(part, str(key), depth + 1)
    else:
        kind = f"{shown(value['@class'])} " if "@class" in value else ""
        keys = ", ".join(shown(key, 20) for key in list(value)[:6])
        raise InputError(
            f"the JSON {kind}holds no structure of pymatgen or ASE; its keys are {keys}"
        )


def _is_structure(value: Mapping[str, Any]) -> bool:
    return ("sites" in value and ("lattice" in value or "@class" in value)) or (
        "numbers" in value and "positions" in value
    )


def _id_of(value: Mapping[str, Any]) -> str:
    found = (value.get(key) for key in ID_KEYS)
    return next((str(name) for name in found if isinstance(name, (str, int)) and str(name)), "")


def crystal_from_value(value: Any, max_atoms: int) -> ReadCrystal:
    """The crystal of a dict of pymatgen's `Structure` or of ASE's atoms.

    Raises:
        InputError: it is none, or is no ordered crystal.
    """
    try:
        if isinstance(value, dict) and "sites" in value:
            return _from_pymatgen(value, max_atoms)
        if isinstance(value, dict) and "numbers" in value:
            return _from_ase(value, max_atoms)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise InputError("the JSON of the structure is incomplete or of another form") from None
    raise InputError("the JSON holds no structure")


def _from_pymatgen(value: Mapping[str, Any], max_atoms: int) -> ReadCrystal:
    if not isinstance(value.get("lattice"), dict):
        raise InputError(f"{shown(value.get('@class', 'the structure'))} has no cell")
    lattice = np.array(value["lattice"]["matrix"], dtype=np.float64).reshape(3, 3)
    check_periodic([bool(flag) for flag in value["lattice"].get("pbc", (True, True, True))])
    sites = value["sites"]
    _check_count(len(sites), max_atoms)
    numbers, coords, remarks = [], [], list[str]()
    for place, site in enumerate(sites):
        label = shown(site.get("label") or place + 1, 20)
        if len(site["species"]) != 1:
            raise InputError(f"partial occupancy on site {label}; {ORDERED}")
        species = site["species"][0]
        occupancy = float(species.get("occu", 1))
        if not abs(occupancy - 1) <= FULL:
            raise InputError(f"partial occupancy {occupancy:g} on site {label}; {ORDERED}")
        if occupancy != 1:
            remarks.append(f"occupancy taken as 1: {occupancy:g} of {label}")
        word = str(species["element"])
        found = _SYMBOL.fullmatch(word)
        number, said = element_number(found.group(1) if found else word)
        numbers.append(number)
        remarks += said
        coords.append(
            site["abc"]
            if "abc" in site
            else np.linalg.solve(lattice.T, np.array(site["xyz"], float))
        )
    frac = np.array(coords, dtype=np.float64).reshape(-1, 3)
    crystal = crystal_from_lattice(np.array(numbers, dtype=np.int64), lattice, frac)
    return ReadCrystal(crystal, tuple(dict.fromkeys(remarks)))


def _from_ase(value: Mapping[str, Any], max_atoms: int) -> ReadCrystal:
    numbers = _array(value["numbers"]).reshape(-1)
    _check_count(len(numbers), max_atoms)
    if not ((numbers >= 1) & (numbers <= 118) & (numbers == np.round(numbers))).all():
        raise InputError("an atom's type is open or unknown")
    if value.get("cell") is None:
        raise InputError("no cell, or one that spans no volume")
    check_periodic([bool(flag) for flag in _array(value.get("pbc", [1, 1, 1])).reshape(-1)])
    positions = _array(value["positions"]).reshape(-1, 3)
    if len(positions) != len(numbers):
        raise InputError(f"{len(numbers)} atoms, but {len(positions)} positions")
    lattice = _array(value["cell"])
    lattice = np.diag(lattice) if lattice.shape == (3,) else lattice.reshape(3, 3)
    return ReadCrystal(crystal_from_lattice(numbers.astype(np.int64), lattice, positions=positions))


def _array(value: Any) -> np.ndarray:
    """Numbers as ASE writes them: lists, or dicts that tell shape, type and values."""
    if isinstance(value, dict) and "array" in value:
        value = value["array"]
    if isinstance(value, dict):
        shape, _, values = value["__ndarray__"]
        return np.array(values, dtype=np.float64).reshape([int(n) for n in shape])
    return np.array(value, dtype=np.float64)


def _check_count(count: int, max_atoms: int) -> None:
    if count > max_atoms:
        raise InputError(f"{count} atoms; at most {max_atoms} are read")
