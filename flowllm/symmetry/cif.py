"""Symmetric CIF output: conventional cell, operations, one atom per orbit."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_volumes
from flowllm.crystals.elements import SYMBOLS
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.exact import TOLERANCE, exact_symmetry
from flowllm.symmetry.space_group import SpaceGroup, space_group
from flowllm.symmetry.triplets import write_triplet

if TYPE_CHECKING:
    import gemmi

ALPHA = r"\a"  # the letter behind z, as the CIF dictionaries write it
SITE = (
    "label", "type_symbol", "symmetry_multiplicity", "Wyckoff_symbol", "fract_x", "fract_y",
    "fract_z", "occupancy",
)  # fmt: skip


def to_cif(crystals: CrystalBatch, tolerance: float = TOLERANCE) -> list[str]:
    """CIF texts of B crystals: symmetric where possible, else in P1 as given.

    A symmetric crystal is idealised, by the tolerance at the most.

    Args:
        crystals: primitive cells.
        tolerance: in Å, within which `exact_symmetry` looks for symmetry.

    Raises:
        InputError: as `CrystalBatch.to_cif`.
    """
    found = [exact_symmetry(crystal, tolerance) for crystal in crystals]
    without = iter(crystals[np.array([one is None for one in found], dtype=bool)].to_cif())
    return [next(without) if one is None else symmetric_cif(one) for one in found]


def symmetric_cif(crystal: SymmetricCrystal) -> str:
    """The CIF text of one crystal in its conventional cell."""
    counts = _counts(crystal)
    units = math.gcd(*counts.values())
    lengths, angles = crystal.lengths, crystal.angles
    volume = cell_volumes(lengths[None], angles[None])[0]
    lines = [
        "# written by FlowLLM",
        "data_" + "".join(f"{s}{n // units if n > units else ''}" for s, n in counts.items()),
        f"_chemical_formula_sum '{' '.join(f'{s}{n}' for s, n in counts.items())}'",
        *(f"_cell_length_{name} {x:.8f}" for name, x in zip("abc", lengths, strict=True)),
        *(
            f"_cell_angle_{name} {x:.8f}"
            for name, x in zip(("alpha", "beta", "gamma"), angles, strict=True)
        ),
        f"_cell_volume {volume:.6f}",
        f"_cell_formula_units_Z {units}",
        *_group_lines(crystal.number),
        "loop_",
        *(f"_atom_site_{name}" for name in SITE),
    ]
    numbers: dict[str, int] = {}
    orbits = zip(crystal.elements.tolist(), crystal.positions, crystal.coords, strict=True)
    for element, position, point in orbits:
        symbol = SYMBOLS[element]
        numbers[symbol] = numbers.get(symbol, 0) + 1
        place = " ".join(f"{x:.8f}" for x in point - np.floor(point))
        letter = ALPHA if position.letter == "A" else position.letter
        label = f"{symbol}{numbers[symbol]}"
        lines.append(f"{label} {symbol} {position.multiplicity} {letter} {place} 1")
    return "\n".join(lines) + "\n"


def _counts(crystal: SymmetricCrystal) -> dict[str, int]:
    """Atoms of each element in the conventional cell, in the order of the orbits."""
    counts: dict[str, int] = {}
    for element, position in zip(crystal.elements.tolist(), crystal.positions, strict=True):
        symbol = SYMBOLS[element]
        counts[symbol] = counts.get(symbol, 0) + position.multiplicity
    return counts


@cache
def _group_lines(number: int) -> tuple[str, ...]:
    """Symbols and operations of a space group."""
    group = space_group(number)
    setting = _setting(group)
    operations = zip(group.rotations, group.translations, strict=True)
    return (
        f"_space_group_IT_number {number}",
        f"_space_group_name_H-M_alt '{setting.hm}'",
        f"_space_group_name_Hall '{setting.hall}'",
        "loop_",
        "_space_group_symop_operation_xyz",
        *(f"'{write_triplet(rotation, shift)}'" for rotation, shift in operations),
    )


def _setting(group: SpaceGroup) -> gemmi.SpaceGroup:
    """gemmi's entry of our setting: origin choice 2, hexagonal axes, unique axis b."""
    import gemmi

    settings = [s for s in gemmi.spacegroup_table() if s.number == group.number]
    marked = [s for s in settings if s.ext in ("2", "H")]
    return marked[0] if marked else next(s for s in settings if s.is_reference_setting())
