"""Reducing one crystal for the data: primitive cell, Niggli reduction, canonical setting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.canonical import order_and_set
from flowllm.crystals.cells import cell_parameters
from flowllm.crystals.cif import parse_cif
from flowllm.crystals.elements import NUMBER_OF, RANK_OF
from flowllm.crystals.primitive import niggli_cell, primitive_cell
from flowllm.data.dataset import DEFAULT_MAX_ATOMS
from flowllm.errors import InputError, first_line

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure


SUPERCELL = 32  # times the atoms that are allowed: in larger cells no smaller one is looked for
REDUCED = 500  # atoms of a cell that is looked at in any case


@dataclass(frozen=True)
class ReduceSettings:
    """Settings of the reduction to unique structures.

    Attributes:
        max_atoms: largest primitive cell kept, in atoms; also the largest that models of the data
            can write.
        canonical: choose axes and origin by rule; see `flowllm.crystals.canonical`. Equal crystals
            then give equal texts; without it they stay as Niggli reduction left them.
        tolerance: tolerance of translations, in Å; atoms may lie this far off one that makes the
            cell smaller. The default merges no atoms that spglib at the data's symprec of 0.1 Å
            tells apart.
    """

    max_atoms: int = DEFAULT_MAX_ATOMS
    canonical: bool = True
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.max_atoms < 1:
            raise InputError(f"max_atoms must be at least 1, not {self.max_atoms}")
        if not 0 < self.tolerance <= 0.5:
            raise InputError(f"tolerance must be above 0 and at most 0.5 Å, not {self.tolerance}")


def reduce_structure(
    structure: Structure, name: str, settings: ReduceSettings | None = None
) -> CrystalBatch:
    """The crystal as a batch of one: primitive, Niggli-reduced, atoms in the order of the text.

    Atoms stand by electronegativity of their element (pymatgen's order), inside an element by
    their coordinates rounded to two decimals, x first.

    Raises:
        InputError: partial occupancy, too many atoms, or a cell that cannot be reduced.
    """
    if not structure.is_ordered:
        raise InputError(f"{name}: partial occupancy; only ordered structures are supported")
    symbols = [site.specie.symbol for site in structure]
    unknown = [symbol for symbol in symbols if symbol not in RANK_OF]
    if unknown:
        raise InputError(f"{name}: {unknown[0]} is not an element")
    numbers = np.array([NUMBER_OF[symbol] for symbol in symbols])
    return _reduced(structure.lattice.matrix, numbers, structure.frac_coords, name, settings)


def reduce_crystal(
    crystal: CrystalBatch, name: str, settings: ReduceSettings | None = None
) -> CrystalBatch:
    """A batch of one, reduced as `reduce_structure` does.

    Raises:
        InputError: too many atoms, or a cell that cannot be reduced.
    """
    if crystal.volumes[0] <= 0:
        raise InputError(f"{name}: the cell has zero volume")
    return _reduced(
        crystal.lattices[0], crystal.atomic_numbers, crystal.frac_coords, name, settings
    )


def _reduced(
    lattice: np.ndarray,
    numbers: np.ndarray,
    frac: np.ndarray,
    name: str,
    settings: ReduceSettings | None,
) -> CrystalBatch:
    settings = settings or ReduceSettings()
    _check_size(numbers, name, settings.max_atoms)
    try:
        lattice, numbers, frac = primitive_cell(lattice, numbers, frac, settings.tolerance)
        if len(numbers) > settings.max_atoms:
            raise InputError(
                f"{name}: {len(numbers)} atoms in the primitive cell, "
                f"more than {settings.max_atoms} (--max-atoms of flowllm data sets the limit)"
            )
        lattice, frac = niggli_cell(lattice, frac)
    except (ValueError, np.linalg.LinAlgError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: the cell cannot be reduced ({first_line(error)})") from error
    lengths, angles = cell_parameters(lattice)
    crystal = CrystalBatch(
        numbers, frac, lengths[None], angles[None], np.array([len(numbers)]), np.array([name])
    )
    return order_and_set(crystal, settings.canonical)


def _check_size(numbers: np.ndarray, name: str, max_atoms: int) -> None:
    """Refuse a cell that is clearly too large, or too large to check.

    A primitive cell holds at least one formula unit, the atoms over the largest common divisor of
    the elements' numbers.
    """
    if len(numbers) <= REDUCED:
        return
    _, counts = np.unique(numbers, return_counts=True)
    least = len(numbers) // math.gcd(*counts.tolist())
    limit = f"more than {max_atoms} (--max-atoms of flowllm data sets the limit)"
    if least > max_atoms:
        raise InputError(f"{name}: at least {least} atoms in the primitive cell, {limit}")
    if len(numbers) > SUPERCELL * max_atoms:
        raise InputError(
            f"{name}: {len(numbers)} atoms; a cell of more than {SUPERCELL} times {max_atoms} is "
            "not searched for a smaller one"
        )


def reduce_cif(text: str, name: str, settings: ReduceSettings | None = None) -> CrystalBatch:
    """The reduced crystal of one CIF text; see `reduce_structure`.

    Raises:
        InputError: also where the text does not parse.
    """
    return reduce_structure(parse_cif(text, name), name, settings)
