"""A crystal as CIF text in P1: every atom of the cell, laid out as pymatgen's CifWriter does."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.formulas import formula_of

LONGEST_LINE = 70
SITE = (
    "type_symbol", "label", "symmetry_multiplicity", "fract_x", "fract_y", "fract_z", "occupancy",
)  # fmt: skip
SYMMETRY = ("_symmetry_equiv_pos_site_id", "_symmetry_equiv_pos_as_xyz")


def p1_text(
    composition: Mapping[str, int],
    numbers: np.ndarray,
    frac_coords: np.ndarray,
    cell: tuple[np.ndarray, np.ndarray, float],
) -> str:
    """The text of one crystal without open species, in a cell that spans a volume.

    Args:
        composition: {element: atoms in the cell}.
        numbers: (N,) atomic numbers.
        frac_coords: (N, 3).
        cell: lengths (3,) in Å, angles (3,) in degrees, and the volume in Å^3.
    """
    lengths, angles, volume = cell
    formula = formula_of(tuple(composition.items()))
    lines = [
        "# written by FlowLLM",
        f"data_{formula.reduced}",
        "_symmetry_space_group_name_H-M   'P 1'",
        *(f"_cell_length_{name}   {x:.8f}" for name, x in zip("abc", lengths, strict=True)),
        *(
            f"_cell_angle_{name}   {x:.8f}"
            for name, x in zip(("alpha", "beta", "gamma"), angles, strict=True)
        ),
        "_symmetry_Int_Tables_number   1",
        *_named("_chemical_formula_structural", formula.reduced),
        *_named("_chemical_formula_sum", formula.full),
        f"_cell_volume   {volume:.8f}",
        f"_cell_formula_units_Z   {formula.units}",
        "loop_",
        *(f" {name}" for name in SYMMETRY),
        "  1  'x, y, z'",
        "loop_",
        *(f" _atom_site_{name}" for name in SITE),
    ]
    for count, (number, (x, y, z)) in enumerate(
        zip(numbers.tolist(), frac_coords.tolist(), strict=True)
    ):
        symbol = SYMBOLS[number]
        lines.append(f"  {symbol}  {symbol}{count}  1  {x:.8f}  {y:.8f}  {z:.8f}  1")
    return "\n".join(lines) + "\n"


def _named(name: str, value: str) -> list[str]:
    """The lines of a name and a text, in quotes where it holds spaces."""
    if len(value) > LONGEST_LINE:
        value = f";\n{textwrap.fill(value, LONGEST_LINE)}\n;"
    elif " " in value:
        value = f"'{value}'"
    if len(name) + len(value) + 3 < LONGEST_LINE:
        return [f"{name}   {value}"]
    return [name, value]
