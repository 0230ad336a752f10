"""Crystals in memory: batches, pymatgen structures, ASE atoms, dicts of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.inputs.arrays import batch_listing
from flowllm.inputs.items import (
    ISOTOPES,
    NAME,
    Item,
    Listing,
    ReadCrystal,
    crystal_from_lattice,
    isotope_remark,
)
from flowllm.inputs.structure_json import crystal_from_value
from flowllm.inputs.xyz import check_periodic

if TYPE_CHECKING:
    from ase import Atoms

TAKEN = "give a path, a CrystalBatch, pymatgen structures or ASE atoms"


def python_listing(source: Any, max_atoms: int) -> Listing:
    """A listing of a batch, structures or atoms; ids are their own or their positions.

    Raises:
        InputError: the object is none of these.
    """
    if isinstance(source, CrystalBatch):
        return batch_listing(source)
    if hasattr(source, "frac_coords") or hasattr(source, "get_atomic_numbers"):
        source = [source]  # a single structure would be taken for a list of its atoms
    if isinstance(source, (Mapping, bytes, bytearray)) or not isinstance(source, Iterable):
        raise InputError(f"{_shown(source)} is neither a crystal nor a list of crystals; {TAKEN}")
    if type(source).__name__.endswith("Molecule"):
        raise InputError(f"{type(source).__name__} is not a crystal: it has no cell; {TAKEN}")
    items = []
    for place, thing in enumerate(source):
        known = getattr(thing, "info", None) or getattr(thing, "properties", None) or {}
        name = str(known.get("id", known.get("material_id", place)))
        where = f"crystal {name} in memory"
        try:
            read = _from_object(thing, max_atoms)
            items.append(Item(name, where, done=(read.crystal, 0), remarks=read.remarks))
        except InputError as error:
            items.append(Item(name, where, reason=str(error).removeprefix(f"{NAME}: ")))
    return Listing(items)


def _shown(thing: Any) -> str:
    """An object for a message: its type, and its value if short."""
    if thing is None:
        return "None"
    kind = type(thing).__name__
    return f"{thing!r} of type {kind}" if isinstance(thing, (int, float, bool)) else kind


def _from_object(thing: Any, max_atoms: int) -> ReadCrystal:
    if isinstance(thing, CrystalBatch) and len(thing) == 1:
        return ReadCrystal(thing)
    if hasattr(thing, "get_atomic_numbers"):
        return ReadCrystal(from_atoms(thing))
    if isinstance(thing, dict):
        return crystal_from_value(thing, max_atoms)
    if not hasattr(thing, "frac_coords"):
        has = ": it has no cell" if hasattr(thing, "cart_coords") else ""
        raise InputError(f"{type(thing).__name__} is not a crystal{has}")
    if not len(thing):
        raise InputError("no atoms")
    check_periodic([bool(flag) for flag in thing.lattice.pbc])
    return _from_structure(thing)


def _from_structure(structure: Any) -> ReadCrystal:
    """The crystal of a pymatgen structure, with a remark if deuterium is read as hydrogen."""
    remarks = []
    for site in structure:
        if not site.is_ordered:
            raise InputError(
                f"partial occupancy on site {site.label}; only ordered structures are supported"
            )
        symbol = site.specie.symbol
        if symbol in ISOTOPES:
            remarks.append(isotope_remark(symbol))
    if remarks:
        structure = structure.copy()
        structure.replace_species(dict.fromkeys(ISOTOPES, "H"))
    crystal = CrystalBatch.from_pymatgen([structure], [NAME])
    if np.linalg.det(structure.lattice.matrix) < 0:
        crystal = crystal_from_lattice(
            crystal.atomic_numbers, structure.lattice.matrix, structure.frac_coords
        )
    return ReadCrystal(crystal, tuple(dict.fromkeys(remarks)))


def from_atoms(atoms: Atoms) -> CrystalBatch:
    """A batch of one.

    Raises:
        InputError: no atoms, no cell or none with a volume, not periodic along all its vectors, a
            coordinate that is not finite, or no elements.
    """
    if not len(atoms):
        raise InputError("no atoms")
    numbers = atoms.get_atomic_numbers()
    lattice = np.asarray(atoms.cell)
    if not lattice.any():
        raise InputError("no cell, or one of zero volume")
    check_periodic([bool(flag) for flag in atoms.pbc])
    _check_numbers(numbers)
    return crystal_from_lattice(numbers, lattice, positions=atoms.get_positions())


def _check_numbers(numbers: np.ndarray) -> None:
    if (numbers == 0).any():
        raise InputError("an atom's type is open")
    wrong = numbers[(numbers < 0) | (numbers >= len(SYMBOLS))]
    if len(wrong):
        raise InputError(f"{wrong[0]} is not an atomic number")
