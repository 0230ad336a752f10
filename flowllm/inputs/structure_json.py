"""pymatgen structures and ASE atoms as dicts, as in JSON.

Nothing is imported by the names that such a dict holds, and no object is built from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowllm.errors import InputError
from flowllm.inputs.items import ReadCrystal, crystal_from_lattice, element_number
from flowllm.inputs.limits import shown
from flowllm.inputs.xyz import check_periodic

FULL = 0.01  # an occupancy is one within this
ORDERED = "only ordered structures are supported"
_SYMBOL = re.compile(r"([A-Z][a-z]?)(\d*(\.\d+)?[+-])?")


def crystal_from_value(value: Any, max_atoms: int) -> ReadCrystal:
    """The crystal of a dict of pymatgen's `Structure` or of ASE's atoms.

    Raises:
        InputError: it is none, or is not an ordered crystal.
    """
    try:
        if isinstance(value, dict) and "sites" in value:
            return _from_pymatgen(value, max_atoms)
        if isinstance(value, dict) and "numbers" in value:
            return _from_ase(value, max_atoms)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise InputError("the JSON of the structure is incomplete or in another format") from None
    raise InputError("the JSON contains no structure")


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
        raise InputError("no cell, or one of zero volume")
    check_periodic([bool(flag) for flag in _array(value.get("pbc", [1, 1, 1])).reshape(-1)])
    positions = _array(value["positions"]).reshape(-1, 3)
    if len(positions) != len(numbers):
        raise InputError(f"{len(numbers)} atoms, but {len(positions)} positions")
    lattice = _array(value["cell"])
    lattice = np.diag(lattice) if lattice.shape == (3,) else lattice.reshape(3, 3)
    return ReadCrystal(crystal_from_lattice(numbers.astype(np.int64), lattice, positions=positions))


def _array(value: Any) -> np.ndarray:
    """Numbers as written by ASE: lists, or dicts of shape, type and values."""
    if isinstance(value, dict) and "array" in value:
        value = value["array"]
    if isinstance(value, dict):
        shape, _, values = value["__ndarray__"]
        return np.array(values, dtype=np.float64).reshape([int(n) for n in shape])
    return np.array(value, dtype=np.float64)


def _check_count(count: int, max_atoms: int) -> None:
    if count > max_atoms:
        raise InputError(f"{count} atoms; at most {max_atoms} are read")
